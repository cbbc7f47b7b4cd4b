// Written by `python -m tests.web.tables` from tcpchat_core; a test holds it to that.

// By type: each field's kind, and its default if it has one.
export const NOTICES = new Map([
  ["welcome", new Map([["nick",["str"]],["epoch",["str"]],["server",["str",""]],["version",["str",""]],["token",["str",""]],["motd",["[str]",[]]],["limits",["Limits?",null]],["account",["str",""]],["people",["int",0]],["most_people",["int",0]]])],
  ["joined", new Map([["room",["str"]],["nick",["str"]],["seq",["int"]],["at",["int"]],["account",["str",""]],["name",["str",""]]])],
  ["entered", new Map([["room",["str"]],["members",["[str]"]],["count",["int"]],["seq",["int"]],["at",["int"]],["topic",["str",""]],["history",["[said]",[]]],["again",["bool",false]],["moderators",["[str]",[]]],["slow_ms",["int",0]],["moderated",["bool",false]],["private",["bool",false]],["kept",["bool",false]],["topic_locked",["bool",false]],["unlisted",["bool",false]],["read",["int",0]],["topic_nick",["str",""]],["topic_at",["int",0]],["read_at",["int",0]]])],
  ["said", new Map([["room",["str"]],["nick",["str"]],["text",["str"]],["seq",["int"]],["at",["int"]],["emote",["bool",false]],["id",["str?",null]],["redacted",["bool",false]],["notice",["bool",false]],["tags",["map?",null]],["by_account",["bool",false]],["re",["int?",null]],["quote",["Quote?",null]]])],
  ["sent", new Map([["at",["int"]],["id",["str?",null]],["room",["str?",null]],["nick",["str?",null]],["seq",["int?",null]],["away",["str",""]],["entry",["int",0]]])],
  ["told", new Map([["nick",["str"]],["text",["str"]],["seq",["int"]],["at",["int"]],["to",["str",""]],["notice",["bool",false]],["entry",["int",0]],["tags",["map?",null]],["by_account",["bool",false]]])],
  ["signalled", new Map([["room",["str"]],["nick",["str"]],["tags",["map"]],["at",["int"]],["to",["str",""]],["entry",["int",0]]])],
  ["topic", new Map([["room",["str"]],["topic",["str"]],["nick",["str"]],["seq",["int"]],["at",["int"]]])],
  ["renamed", new Map([["old",["str"]],["new",["str"]],["own",["bool",false]]])],
  ["away", new Map([["nick",["str"]],["text",["str",""]],["own",["bool",false]]])],
  ["account", new Map([["nick",["str"]],["account",["str"]]])],
  ["setname", new Map([["nick",["str"]],["name",["str",""]],["own",["bool",false]]])],
  ["left", new Map([["room",["str"]],["nick",["str"]],["own",["bool",false]],["by",["str",""]],["reason",["str",""]],["at",["int",0]],["until",["int",0]]])],
  ["restricted", new Map([["room",["str"]],["nick",["str"]],["what",["str"]],["until",["int"]],["by",["str"]],["at",["int"]],["reason",["str",""]],["own",["bool",false]]])],
  ["lifted", new Map([["room",["str"]],["nick",["str"]],["what",["str"]],["by",["str"]],["own",["bool",false]]])],
  ["role", new Map([["room",["str"]],["nick",["str"]],["role",["str"]],["by",["str"]]])],
  ["mode", new Map([["room",["str"]],["by",["str"]],["slow_ms",["int",0]],["moderated",["bool",false]],["private",["bool",false]],["kept",["bool",false]],["topic_locked",["bool",false]],["unlisted",["bool",false]],["changed",["[str]",[]]]])],
  ["expelled", new Map([["nick",["str"]],["by",["str"]],["at",["int"]],["reason",["str",""]],["until",["int",0]]])],
  ["invited", new Map([["room",["str"]],["by",["str"]],["until",["int"]],["at",["int"]],["nick",["str",""]],["code",["str",""]]])],
  ["redacted", new Map([["room",["str"]],["seq",["int"]],["by",["str"]],["at",["int"]],["nick",["str",""]]])],
  ["claimed", new Map([["account",["str"]],["number",["int"]],["admin",["bool",false]],["token",["str",""]]])],
  ["password", new Map([["account",["str"]],["is_set",["bool",true]]])],
  ["offered", new Map([["account",["str"]],["until",["int"]],["at",["int"]],["code",["str",""]]])],
  ["devices", new Map([["account",["str"]],["devices",["[DeviceInfo]"]]])],
  ["revoked", new Map([["number",["int"]]])],
  ["gone", new Map([["nick",["str"]],["reason",["str",""]]])],
  ["rooms", new Map([["rooms",["[RoomInfo]"]],["more",["int",0]],["people",["int",0]],["most_people",["int",0]]])],
  ["who", new Map([["room",["str"]],["nicks",["[str]"]],["moderators",["[str]",[]]],["owners",["[str]",[]]],["slow_ms",["int",0]],["moderated",["bool",false]],["private",["bool",false]],["kept",["bool",false]],["topic_locked",["bool",false]],["unlisted",["bool",false]],["away",["[str]",[]]],["more",["bool",false]],["accounts",["[str]",[]]],["names",["map",{}]],["users",["map",{}]]])],
  ["person", new Map([["nick",["str"]],["account",["str",""]],["admin",["bool",false]],["rooms",["[str]",[]]],["lost",["bool",false]],["away",["str",""]],["name",["str",""]],["user",["str",""]]])],
  ["whowas", new Map([["nick",["str"]],["people",["[FormerPerson]",[]]]])],
  ["presence", new Map([["here",["[str]",[]]],["gone",["[str]",[]]],["changed",["bool",false]]])],
  ["restrictions", new Map([["room",["str"]],["restrictions",["[RestrictionInfo]"]],["at",["int"]]])],
  ["audit", new Map([["acts",["[Act]"]]])],
  ["read", new Map([["room",["str"]],["seq",["int"]],["at",["int",0]]])],
  ["history", new Map([["room",["str"]],["messages",["[said]"]],["more",["bool",false]]])],
  ["found", new Map([["messages",["[said]"]],["more",["bool",false]]])],
  ["help", new Map([["lines",["[str]"]]])],
  ["rejected", new Map([["reason",["str"]],["text",["str"]],["request",["str",""]],["id",["str?",null]]])],
  ["ping", new Map([["id",["str?",null]]])],
  ["pong", new Map([["id",["str?",null]]])],
  ["resumed", new Map([["nick",["str"]],["rooms",["[RoomState]"]],["epoch",["str"]],["common",["int?",null]],["away",["str",""]],["name",["str",""]]])],
  ["gap", new Map([["room",["str"]],["oldest",["int"]]])],
  ["diverged", new Map([["epoch",["str"]]])],
  ["announced", new Map([["text",["str"]]])],
  ["closing", new Map([["reason",["str"]],["retry",["int?",null]]])],
]);

// What stands in notices, in the same way.
export const STRUCTS = new Map([
  ["Limits", new Map([["line_bytes",["int"]],["text_chars",["int"]],["text_bytes",["int"]],["nick_chars",["int"]],["room_chars",["int"]],["topic_chars",["int"]],["rooms_per_person",["int"]],["unacknowledged",["int"]],["grace_ms",["int",0]],["flood_burst",["int",0]],["flood_rate",["int",0]],["name_chars",["int",0]]])],
  ["RoomInfo", new Map([["room",["str"]],["members",["int"]],["topic",["str",""]]])],
  ["RoomState", new Map([["room",["str"]],["members",["[str]"]],["count",["int"]],["seq",["int"]],["topic",["str",""]],["common",["int?",null]],["moderators",["[str]",[]]],["slow_ms",["int",0]],["moderated",["bool",false]],["private",["bool",false]],["kept",["bool",false]],["topic_locked",["bool",false]],["unlisted",["bool",false]],["read",["int",0]],["topic_nick",["str",""]],["topic_at",["int",0]],["read_at",["int",0]]])],
  ["RestrictionInfo", new Map([["nick",["str"]],["what",["str"]],["until",["int"]],["by",["str"]],["reason",["str",""]]])],
  ["DeviceInfo", new Map([["number",["int"]],["at",["int"]],["name",["str",""]],["here",["bool",false]],["own",["bool",false]]])],
  ["Act", new Map([["at",["int"]],["by",["str"]],["what",["str"]],["room",["str",""]],["nick",["str",""]],["until",["int",0]],["reason",["str",""]]])],
  ["Quote", new Map([["nick",["str"]],["text",["str"]]])],
]);

// What can be asked, in the same way.
export const REQUESTS = new Map([
  ["hello", new Map([["token",["str",""]],["seen",["map",{}]],["told",["int",0]],["password",["str",""]],["epoch",["str",""]],["device",["str",""]],["name",["str",""]],["user",["str",""]]])],
  ["nick", new Map([["nick",["str"]]])],
  ["away", new Map([["text",["str",""]]])],
  ["setname", new Map([["name",["str",""]],["user",["str",""]]])],
  ["join", new Map([["room",["str"]],["code",["str",""]]])],
  ["say", new Map([["room",["str"]],["text",["str"]],["id",["str?",null]],["emote",["bool",false]],["notice",["bool",false]],["tags",["map?",null]],["re",["int?",null]],["back",["int",0]]])],
  ["tell", new Map([["nick",["str"]],["text",["str"]],["id",["str?",null]],["notice",["bool",false]],["tags",["map?",null]]])],
  ["signal", new Map([["tags",["map"]],["room",["str",""]],["nick",["str",""]]])],
  ["topic", new Map([["room",["str"]],["topic",["str?",null]]])],
  ["out", new Map([["room",["str"]],["reason",["str",""]]])],
  ["kick", new Map([["room",["str"]],["nick",["str"]],["reason",["str",""]],["server",["bool",false]]])],
  ["restrict", new Map([["room",["str"]],["nick",["str"]],["what",["Literal"]],["ms",["int",0]],["reason",["str",""]],["server",["bool",false]]])],
  ["lift", new Map([["room",["str"]],["nick",["str"]],["what",["Literal"]],["server",["bool",false]]])],
  ["role", new Map([["room",["str"]],["nick",["str"]],["role",["Literal"]]])],
  ["mode", new Map([["room",["str"]],["slow_ms",["int?",null]],["moderated",["bool?",null]],["private",["bool?",null]],["kept",["bool?",null]],["secret",["str?",null]],["topic_locked",["bool?",null]],["unlisted",["bool?",null]]])],
  ["invite", new Map([["room",["str"]],["nick",["str",""]]])],
  ["redact", new Map([["room",["str"]],["seq",["int",0]],["nick",["str",""]]])],
  ["restrictions", new Map([["room",["str"]],["server",["bool",false]]])],
  ["read", new Map([["room",["str"]],["seq",["int?",null]],["at",["int?",null]]])],
  ["claim", new Map([["code",["str"]],["name",["str",""]],["device",["str",""]]])],
  ["login", new Map([["device",["str",""]],["account",["str",""]],["password",["str",""]],["session",["str?",null]]])],
  ["password", new Map([["password",["str"]]])],
  ["device", new Map([["code",["str",""]]])],
  ["revoke", new Map([["number",["int"]]])],
  ["quit", new Map([["reason",["str",""]]])],
  ["rooms", new Map()],
  ["devices", new Map()],
  ["audit", new Map([["limit",["int",20]]])],
  ["who", new Map([["room",["str"]],["after",["str",""]],["limit",["int?",null]],["names",["bool",false]]])],
  ["whois", new Map([["nick",["str"]]])],
  ["whowas", new Map([["nick",["str"]],["limit",["int",0]]])],
  ["watch", new Map([["nicks",["[str]",[]]],["what",["Literal","start"]]])],
  ["history", new Map([["room",["str"]],["before",["int?",null]],["limit",["int",20]],["after",["int?",null]],["latest",["bool",false]],["around",["int?",null]],["since",["int?",null]],["until",["int?",null]],["around_at",["int?",null]]])],
  ["search", new Map([["words",["str"]],["room",["str",""]],["nick",["str",""]],["since",["int",0]],["limit",["int",20]]])],
  ["ping", new Map([["id",["str?",null]]])],
  ["pong", new Map([["id",["str?",null]]])],
  ["help", new Map([["command",["str",""]]])],
]);

// What a person can type.
export const COMMANDS = [
  {"names":["join","room"],"usage":"/join ROOM [CODE]","summary":"join a room, or make one you are in the current one; a private one by a code","example":"/join lobby"},
  {"names":["nick","nickname","nicknames"],"usage":"/nick NAME","summary":"change your nickname","example":"/nick ada"},
  {"names":["out","leave","part"],"usage":"/out [ROOM [REASON]]","summary":"leave the current room, or the one you name, and say why","example":"/out"},
  {"names":["quit","exit"],"usage":"/quit [REASON]","summary":"say goodbye and disconnect","example":"/quit tea time"},
  {"names":["rooms","list"],"usage":"/rooms","summary":"list the rooms, how many people are in each, and the topics","example":"/rooms"},
  {"names":["who","names"],"usage":"/who [ROOM]","summary":"list the people in a room you are in","example":"/who"},
  {"names":["whois"],"usage":"/whois NICK","summary":"tell who somebody is, and in which of your rooms","example":"/whois ada"},
  {"names":["msg","tell"],"usage":"/msg NICK TEXT","summary":"say something to one person only","example":"/msg ada psst"},
  {"names":["me"],"usage":"/me ACTION","summary":"say what you do","example":"/me waves"},
  {"names":["reply","re"],"usage":"/reply [N] TEXT","summary":"answer the last thing that somebody else said here, or the Nth from the end","example":"/reply 2 at four"},
  {"names":["away"],"usage":"/away [TEXT]","summary":"say that you are away, and why; without a text, that you are back","example":"/away tea time"},
  {"names":["name"],"usage":"/name [TEXT]","summary":"say your real name, as /whois tells it; without a text, that you tell none","example":"/name Ada Lovelace"},
  {"names":["topic"],"usage":"/topic [TEXT]","summary":"show the topic of the current room, or set it","example":"/topic tea at four"},
  {"names":["history"],"usage":"/history [N]","summary":"show the last N messages of the current room (20 when you give no number)","example":"/history 50"},
  {"names":["search","find"],"usage":"/search WORDS [in ROOM] [from NICK] [since DATE]","summary":"find what was said in the rooms you are in, newest first (a date is like 2026-01-31)","example":"/search tea from ada since 2026-01-31"},
  {"names":["kick"],"usage":"/kick NICK [REASON] [--server]","summary":"put somebody out of the current room, which you moderate; with --server of the server","example":"/kick troll this is a library"},
  {"names":["mute"],"usage":"/mute NICK [TIME] [REASON] [--server]","summary":"let somebody say nothing here, or on the server, for 10m or another TIME (30s, 2h, 1d)","example":"/mute bob 10m let others speak"},
  {"names":["unmute"],"usage":"/unmute NICK [--server]","summary":"let somebody speak again","example":"/unmute bob"},
  {"names":["ban"],"usage":"/ban NICK [TIME] [REASON] [--server]","summary":"put somebody out of the room, or of the server, and keep them out for 1h or another TIME","example":"/ban troll 1d enough"},
  {"names":["unban"],"usage":"/unban NICK [--server]","summary":"let somebody come in again","example":"/unban troll"},
  {"names":["bans","mutes"],"usage":"/bans [--server]","summary":"list who is banned from the current room or muted in it, and until when","example":"/bans"},
  {"names":["mod"],"usage":"/mod NICK","summary":"let somebody moderate the current room, as you do","example":"/mod bob"},
  {"names":["unmod"],"usage":"/unmod NICK","summary":"let somebody moderate the current room no more","example":"/unmod bob"},
  {"names":["own"],"usage":"/own NICK","summary":"let an account own the current room, as you do","example":"/own bob"},
  {"names":["keep"],"usage":"/keep [on|off]","summary":"keep the current room when nobody is in it: it is your account's","example":"/keep"},
  {"names":["slow"],"usage":"/slow TIME|off","summary":"let everybody say something only once in so long in the current room","example":"/slow 5s"},
  {"names":["moderated"],"usage":"/moderated on|off","summary":"let only those who moderate the current room speak there","example":"/moderated on"},
  {"names":["topiclock"],"usage":"/topiclock on|off","summary":"let only those who moderate the current room set its topic","example":"/topiclock on"},
  {"names":["private"],"usage":"/private on|off","summary":"let people into the current room only by invitation, and hide it from others","example":"/private on"},
  {"names":["unlisted"],"usage":"/unlisted on|off","summary":"leave the current room out of the list of rooms, for those who are not in it","example":"/unlisted on"},
  {"names":["secret"],"usage":"/secret WORD|off","summary":"let people into the current room by a word that you tell them: /join ROOM WORD","example":"/secret teapot"},
  {"names":["invite"],"usage":"/invite [NICK]","summary":"invite somebody to the current room, or get a code by which to /join it","example":"/invite bob"},
  {"names":["redact"],"usage":"/redact [NICK]","summary":"take back the last thing that you said in the current room, or that somebody else did","example":"/redact"},
  {"names":["claim"],"usage":"/claim CODE [NAME]","summary":"make this device one of an account, by a code that you were given","example":"/claim a1b2c-3d4e5-f6071-82930 phone"},
  {"names":["login"],"usage":"/login TOKEN|NICK PASSWORD","summary":"come as who you are, by the token that /claim gave to this device, or by your password","example":"/login 5f0c…"},
  {"names":["password"],"usage":"/password PASSWORD|off","summary":"have a password, by which to /login where you have no device","example":"/password correct horse battery"},
  {"names":["device"],"usage":"/device","summary":"get a code by which to /claim your account on another device","example":"/device"},
  {"names":["devices"],"usage":"/devices","summary":"list the devices of your account","example":"/devices"},
  {"names":["revoke"],"usage":"/revoke NUMBER","summary":"let one of your devices be yours no more, as when it was lost","example":"/revoke 2"},
  {"names":["audit"],"usage":"/audit [N]","summary":"show the last N things that those did who look after rooms and the server (20 at first)","example":"/audit 50"},
  {"names":["help","?"],"usage":"/help [COMMAND]","summary":"show all commands, or explain one","example":"/help msg"},
];

// How alike two words must be for the one to be offered in place of the other (0 to 1); and what is
// called otherwise elsewhere, with the commands that do it here.
export const LIKENESS = 0.6;
export const ELSEWHERE = new Map([["window",["view"]],["buffer",["view"]],["query",["query","msg"]],["wc",["close","out"]],["lastlog",["search"]],["grep",["search"]],["scrollback",["older","history"]],["action",["me"]],["describe",["me"]],["privmsg",["msg"]],["op",["mod"]],["deop",["unmod"]],["kickban",["ban"]],["realname",["name"]],["hilight",["set"]],["highlight",["set"]],["url",["links"]],["bye",["quit"]],["signoff",["quit"]],["disconnect",["quit"]]]);

// How many colours nicks have.
export const COLOURS = 12;

// Characters of names that count as another: how far each is behind the one before, from GAP_0 on;
// one by one as which; and where that is several.
export const GAP_0 = 31;
export const GAPS = "Ő{=1! \"M''!% $\"8#\"!D!   '!   $T&$#0  ($! (\"!/ -',U  !# ! !!!! 4-)$W   !! !!         &'  !(/#Y+!.\")'?+#)!['!\"'!$\"!! #\" 6 &#$  $$ & ! r  P\"  ! \"       !0,# #! g  $Ã! $đ\"! ! !   $  $ ! X5  1*+^I#\"4 X.!8 \"7 X # *8!  #4<;I!993-)$).  !\" 3 ; !  *)!$+! S  &2 %2#\"-\"!( ! *2$&4  7'#$ !)$>'\"W$, !  8 .   !\"RÒ8!'D¡++È\"\" ' !!      ]%<<? R9Ar÷ &C'!!$1!!>!\":7$41 U$ )G$/ 8+$ &*  \":  ) $ $) )( !(á3   +$'¡`d7  ú Î/C\"º $Ɨ!\"\"  !  .6#\"!    '! #  !!   !w(#Ĭ!ǻÈଠ#+)#!%!#+/#2r   '&%!\" !!#\"\"¤!! !& ȯD .2j)#\"3(\"\" (4.ѡϛØਇ¤৿G#)(9  D$&39 ŦYĢ D%634T4*!¸};$=(\" '\"+,8S1:ƛƗgū3\"'*1kƬoO62 4U\"Ɖ)+!*S=A'$),'\\ /1o ɣM!2 ǜŅ$ q!-,4F #%¦%1=!öȉ]Ęa,) X7!&&S!\"? $̾ı ǝ *$#'1!p ö$Ų)Q&('z&ă&P0NČ&0{Ċ %Õv0<ƙ¤ ǟ:  VRc )%@k (<C%E*E9[&((/.#n#% ˥ġ+ <Ǵ+6 Ĺ  *U0M=~ı0¶..-4Df+5LfÀ/>|^T4$ úl%$Ǽöđ & S ¸! N +#&:&%-RE,\"  ¢R\"2ß[O&e)\")=ŁŽQ)E 4' (# F#0$,:.%!L-+\"\" BԬ       !          !   !               #ŧ!%A,D. ; ,#0 _-K,3\"#!##!5!_#ƶ0L¢\"û\"') $ \"  !$%/  \"$  !! !##$\"'#\"& # \"#囫\"  \"\"\"!!   #$   !\"\"!\"      !##.Q &' \"!\"$ĩ !-\"!\" $\"!rW\". *\"9\"!# '  Բޯ 0ŃƱ!!! !!      #    ! ! '##   +  #ġ     ň## ǐ    !!!!!&   ##$ \"ϨΥ仧& !+#!)!$'$ !! ! - 戺亚ࡻ%ப༸ེદ∢";
export const STAND = "igţsþl!8aǝgyiiwņuyȝ?'''''^'¯'':̵̷̡̡̢̡̢̠̳̄̆̂̓̃͐̇̊̆ɔaßyɛiĸµvopouɸςƨjþa6ʙreɜͷĸʍʜoπpcτyɸxƅɛsijwψvyheҷiǝȝdɢɛqwʿwqqδhȷnɰnugfó֖̣̣̗̗̩̣ٕ֚́֙֘̊̇̇̇̇̇́̓̋́̓̊̃̒̆̄̆̂̔̍̊̇.lovʌٌٌٌٍܼ̣̤͔͕̇̇́̄̇̂̈̇̈̋̓͐͐͒̇:̣̠̀́o˙?̣o89̇ঃ̣ॆ्o98̇:̣ऽुू्o२३४८8ọo9̊ஐஈஈன̇ளoகஉசஎஅoঃooঃఅఆఇఒజఞణయఱలo౧౨౯oঃஉஐoணരழஶிிുു˙ഞo9oঃජදขชฎคคฑฆภา̊oจยบปฝพฟุู่้๊๋̊o̥རo̊ঃo၁yȝoᄀᄂᄃᄅᄆᄇᄉᄋᄌᄎᄏᄐᄑᄒuմɰφոռձիoպɢʙδ·vʌ><'uոpdbjγl2ᐡᐩxδhxrbfɐaddѡmbᒐᒉᓓᓚᕃᕆᕊʊωʊω<xlᚽ'kmψᚼអิีึื่̊̊ᠵᡜˢˡʳˢᦞᦱᩅᩅ̢ۛᬍᬑᬨ̫̮̭̩̣̤̖̂̄̎cɜĸʍͷoɔoяτuvwzƨrʌπᴘлgyɋfδyۛɔrɛĸopcɸχωшȝʟϗʌveǝ⁞ʃl!oq⁝ʘxδᛯᷟ̊ᷮͨͯͣͤỏ̥⍁〈̊⺅⼯⼒⼣⼘⼆/⼋へ⼝ᅳ⺋⺗㘽㖈㬻ᅳᅵ⺦\\/⼄⺃⺂⻲⼅⼆⼇⼈⺅併値⼉⺎⼊⼋⼌⼍⼎⼏⼐⼑⺉⼒⼓⼔⼕⼖⼗〹〺࿖࿕⼘⼙⼚⼛⼜⼝啓⼝⼟塡⼟墫⼡⼢⼣⼤⼥媯⼦⼧⼨⼩⺐⺏⼫⼬⼭⼮⼯⼰⺒⼱帡㬺⼲⺓⼴⼵⼶⼷⼸⼹⺔⼺⼻⼼⺖⼽⼾⼾⼿⺘㩁⽀⽁⺙⽂⻫⽃⽄⽅⽆⺛⽇䀿晚⽈㫚⽉䑃⽊杮㮣榝⽋⽌⻭⽍⺞⽎⽏⺟⽐⽑⽒⺠⽓⽔⺡⺢溈⽕⺣⽖⺤⽗⽘⽙⽚⽛⽜⽝⺨⽞⽟⽠⽡⽢⽣⽤⽥⽦⽧⽨⽩⽪⽫⽬⽭⽮⽯研⽰⺭⽱⽲⽳⽴⻯⽵⽶⽷⺯絕⽸⽹⺫⺱⽺⽻⽼⺹⽽⽾⽿⾀⺺⾁朌朐朏㬵朓朘胼朣⾂⾃⾄⾅⾆⾇⾈⾉⾊⾋⺾蒍蘷⾌⻁⾍⾎⾏⾐⻂⾑⻄⻃⾒⻅⾓⾔䚶訮讆⻈⾕⾖⾗豜⾘⾙⻉⾚⾛赿⾜跥躗⾝⾞軿⻋⾟⾠⾡⻌⾢郎⾣⾤⾥⾦鎭⻐⻑⻒⻓⾨⻔⾩⻏⾪隷⾫⾬⾭⻘⾮⾯⾰⾱⻙⾲⾳⾴⻚⾵⻛⾶⻜⻝⻟⻠⾸⾹⾺⻢⾻⾼⾽⾾⾿⿀⻤⿂⻥⿃鹂⿄⿅⿆⻨⿇⿈⻩⿉⿊⿊⿋⿌⿍⿎⿏⿐⿑⻬⿒⻮⿓⻰⿔⻳⿕䀹bpddtʇgkjcɔzfᖵmnlsrʌvh⅁wxyᙠaɐeǝlouո⅂ᗡ.,:ƨiω⃩̆ͷᚹͱʡʌπv̂̄sͽȝ&'·ɛꜧfʚußωᅳᖷⰿꦝ꧆ꨁꨣeforrʃuṃuχχyљᴅʀτiᴀᴊᴇɂⱶrwʍʜɢzɛƅʀvsʟcᴘĸbδeflʌxoᛜpst+abcδf⊕oϙmtyφxψωⵀ▽⧖hbclmϙtx8*ɛʚoꞛcɷɞʟsɔͷ𐒆ʌλoꙩuψnokcvflx̣̣ऺꣻ̊ঘচজঞটডলতথদধনপমযবণরষসািৌঃ্̣ঽo১২৬𑖂𑖂𑖃𑖄𑖲𑖳vwwwvsfiz7o39ɛ69ouyozwc𑲪𐎚⅃γvtlδꙙ⅂lɛrs3ʌ>auy''.〈𢡄𢡊𣏕𤋮𥉉𥳐𧻓";
export const ALIKE_SEVERAL = [["æ","ae"],["œ","oe"],["ǁ","ll"],["ʣ","dz"],["ʦ","ts"],["ʪ","ls"],["ʫ","lz"],["ӕ","ae"],["ᵫ","ue"],["ꚙ","oo"],["ꜳ","aa"],["ꜵ","ao"],["ꜷ","au"],["ꜹ","av"],["ꜻ","av"],["ꜽ","ay"],["ꝏ","oo"],["ꝷ","tf"],["ꭣ","uo"],["𑜀","rn"],["𑣣","rn"]];
