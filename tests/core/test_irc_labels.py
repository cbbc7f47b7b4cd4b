"""What is answered to lines with a label: the whole of it, and nothing else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpchat_core import ChatState, ServerLimits, ServerProtocol, events
from tests.core.harness import HELLO, NO_FLOOD_LIMIT, entry, session
from tests.core.irc import Line, told
from tests.core.irc_server import IrcServer, numerics

CAPS = ("batch", "labeled-response")
WELCOME = ["001", "002", "003", "004", "005", "005", "251", "255", "265", "266", "422"]
TOKEN = "0123456789abcdef" * 4


def talking(*more: str, delayed: bool = False, limits: ServerLimits = NO_FLOOD_LIMIT) -> IrcServer:
    """ada (1) labels her lines, bob (2) does not, fay (4) writes JSON; ada moderates the hall."""
    memory = IrcServer(ServerProtocol(ChatState(), limits=limits))
    memory.register(1, "ada", *CAPS, *more)
    memory.register(2, "bob")
    memory.connect(4)
    memory.send(4, HELLO)
    memory.ask(4, events.Nick("fay"))
    memory.say(1, "JOIN #hall")
    memory.say(2, "JOIN #hall")
    memory.ask(4, events.Join("hall"))
    for conn in (1, 2, 4):
        memory.read(conn)
    memory.delayed = delayed
    return memory


def batched(line: str, *inside: str) -> list[str]:
    """The first batch of a client, with a label."""
    assert line
    return [
        f"@label={line} :tcpchat BATCH +1 labeled-response",
        *[f"@batch=1 {each}" for each in inside],
        ":tcpchat BATCH -1",
    ]


ADA = ":ada!~u@tcpchat"


# ── Forms ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("delayed", [False, True])
@pytest.mark.parametrize(
    ("line", "answer"),
    [
        # One line of an answer has the label itself.
        ("PING x", ["@label=7 :tcpchat PONG tcpchat :x"]),
        ("NOSUCH", ["@label=7 :tcpchat 421 ada NOSUCH :there is no such command"]),
        ("JOIN", ["@label=7 :tcpchat 461 ada JOIN :JOIN needs more parameters"]),
        ("TOPIC #hall", ["@label=7 :tcpchat 331 ada #hall :No topic is set"]),
        ("TOPIC #hall :tea", [f"@label=7 {ADA} TOPIC #hall :tea"]),
        ("NICK ida", [f"@label=7 {ADA} NICK ida"]),
        ("PART #hall", [f"@label=7 {ADA} PART #hall"]),
        ("KICK #hall bob :out", [f"@label=7 {ADA} KICK #hall bob :out"]),
        ("AWAY :tea", ["@label=7 :tcpchat 306 ada :You are away"]),
        ("MODE #hall", ["@label=7 :tcpchat 324 ada #hall +n"]),
        ("MODE #hall b", ["@label=7 :tcpchat 368 ada #hall :End of the list of bans"]),
        (
            "PRIVMSG #tea :x",
            ["@label=7 :tcpchat 404 ada #tea :you are not in tea; /join tea first"],
        ),
        ("PRIVMSG nobody :x", ["@label=7 :tcpchat 401 ada nobody :there is nobody called nobody"]),
        ("CAP LIST", ["@label=7 :tcpchat CAP ada LIST :batch labeled-response"]),
        ("CAP REQ -batch", ["@label=7 :tcpchat CAP ada ACK :-batch"]),
        ("AUTHENTICATE PLAIN", ["@label=7 AUTHENTICATE +"]),
        ("QUIT", ["@label=7 ERROR :bye"]),
        ("QUIT :tea", ["@label=7 ERROR :bye"]),
        # None is an ACK.
        ("PONG x", ["@label=7 :tcpchat ACK"]),
        ("TAGMSG bob", ["@label=7 :tcpchat ACK"]),
        ("PRIVMSG #hall :hello", ["@label=7 :tcpchat ACK"]),
        ("PRIVMSG bob :hello", ["@label=7 :tcpchat ACK"]),
        ("PRIVMSG bob :\x01VERSION\x01", ["@label=7 :tcpchat ACK"]),
        ("PRIVMSG bob,fay :hello", ["@label=7 :tcpchat ACK"]),
        ("NOTICE bob :hello", ["@label=7 :tcpchat ACK"]),
        ("NOTICE nobody :hello", ["@label=7 :tcpchat ACK"]),
        ("JOIN #hall", ["@label=7 :tcpchat ACK"]),
        ("CAP END", ["@label=7 :tcpchat ACK"]),
        # Several are a batch.
        (
            "JOIN #tea",
            batched(
                "7",
                f"{ADA} JOIN #tea",
                ":tcpchat 353 ada = #tea :@ada",
                ":tcpchat 366 ada #tea :End of NAMES",
            ),
        ),
        (
            "NAMES #hall",
            batched(
                "7",
                ":tcpchat 353 ada = #hall :@ada bob fay",
                ":tcpchat 366 ada #hall :End of NAMES",
            ),
        ),
        (
            "WHOIS nobody",
            batched(
                "7",
                ":tcpchat 401 ada nobody :there is nobody called nobody",
                ":tcpchat 318 ada nobody :End of WHOIS",
            ),
        ),
        # So is what several things are answered that one line asks for.
        (
            "PRIVMSG bob,nobody :hello",
            batched("7", ":tcpchat 401 ada nobody :there is nobody called nobody"),
        ),
        (
            "PART #hall,hall",
            batched(
                "7",
                f"{ADA} PART #hall",
                ":tcpchat 403 ada hall :a room is called #name here",
            ),
        ),
        (
            "USERHOST bob fay",
            batched(
                "7", ":tcpchat 302 ada :bob=+~bob@tcpchat", ":tcpchat 302 ada :fay=+~u@tcpchat"
            ),
        ),
    ],
)
def test_a_line_with_a_label_is_answered_with_it(
    line: str, answer: list[str], delayed: bool
) -> None:
    memory = talking(delayed=delayed)
    said = memory.say(1, f"@label=7 {line}")
    memory.commit_all()
    assert said + memory.lines(1) == answer
    assert memory.say(1, "PING x")[:1] in ([], [":tcpchat PONG tcpchat :x"])


@pytest.mark.parametrize(
    ("line", "echo"),
    [
        ("PRIVMSG #hall :hello", f"{ADA} PRIVMSG #hall :hello"),
        ("NOTICE #hall :hello", f"{ADA} NOTICE #hall :hello"),
        ("PRIVMSG bob :hello", f"{ADA} PRIVMSG bob :hello"),
        ("NOTICE bob :hello", f"{ADA} NOTICE bob :hello"),
    ],
)
def test_an_echo_has_the_label_and_what_others_are_told_has_not(line: str, echo: str) -> None:
    memory = talking("echo-message")
    assert memory.say(1, f"@label=7;+draft/reply=x {line}") == [f"@label=7 {echo}"]
    assert memory.lines(2) == [echo]


def test_an_echo_has_its_other_tags_behind_the_label() -> None:
    memory = talking("echo-message", "message-tags")
    [echo] = memory.say(1, "@label=7 PRIVMSG #hall :hello")
    assert echo.startswith("@label=7;msgid=")


def test_an_echo_that_takes_several_lines_is_a_batch() -> None:
    memory = talking("echo-message")
    echo = memory.say(1, f"@label=7 PRIVMSG #hall :{'x ' * 400}")
    assert [line.partition(" ")[0] for line in echo] == [
        "@label=7",
        "@batch=1",
        "@batch=1",
        ":tcpchat",
    ]


def test_of_what_one_says_to_oneself_the_echo_has_the_label() -> None:
    memory = talking("echo-message")
    said = f"{ADA} PRIVMSG ada :hello"
    assert sorted(memory.say(1, "@label=7 PRIVMSG ada :hello")) == [said, f"@label=7 {said}"]


def test_several_echoes_of_one_line_are_a_batch() -> None:
    memory = talking("echo-message")
    assert memory.say(1, "@label=7 PRIVMSG bob,fay :hello") == batched(
        "7", f"{ADA} PRIVMSG bob :hello", f"{ADA} PRIVMSG fay :hello"
    )


def test_who_quits_after_something_else_was_said_of_it_is_told_all_of_that() -> None:
    memory = talking()
    told = memory.say(1, f"@label=7 QUIT :{'x' * 201}")
    assert told == batched(
        "7", ":tcpchat 417 ada :a reason has at most 200 characters; this one has 201", "ERROR :bye"
    )


# ── Labels ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ("@label=7", "@label=7 "),
        ("@label=a\\sb\\:c\\\\", "@label=a\\sb\\:c\\\\ "),
        ("@label=é", "@label=é "),
        ("@+x=y;label=7;z", "@label=7 "),
        (f"@label={'x' * 64}", f"@label={'x' * 64} "),
        (f"@label={'x' * 65}", ""),
        (f"@label={'é' * 33}", ""),
        ("@label=a\\nb", ""),
        ("@label=a\x01", ""),
        ("@label=", ""),
        ("@label", ""),
        ("@x=y", ""),
    ],
)
def test_a_label_is_what_it_may_be(tags: str, told: str) -> None:
    assert talking().say(1, f"{tags} PONG x") == ([f"{told}:tcpchat ACK"] if told else [])


@pytest.mark.parametrize("caps", [[], ["batch"], ["labeled-response"]])
def test_who_has_not_asked_for_labels_has_none(caps: list[str]) -> None:
    memory = IrcServer()
    memory.register(1, "ada", *caps)
    assert memory.say(1, "@label=7 PING x") == [":tcpchat PONG tcpchat :x"]


def test_a_line_that_is_none_of_text_is_refused_with_its_label() -> None:
    memory = talking()
    memory.send(1, b"@label=7 PRIVMSG #hall :\xff\r\n")
    [line] = memory.lines(1)
    assert line.startswith("@label=7 :tcpchat FAIL PRIVMSG INVALID_UTF8 :")


def test_a_label_may_be_used_again_when_it_was_answered() -> None:
    memory = talking("echo-message")
    for _ in range(2):
        assert memory.say(1, "@label=7 PRIVMSG #hall :hello") == [
            f"@label=7 {ADA} PRIVMSG #hall :hello"
        ]
    assert [each.id for each in memory.told(4) if hasattr(each, "id")] == [None, None]


# ── In their order ───────────────────────────────────────────────────────────────────────────


def test_what_others_say_meanwhile_has_no_label() -> None:
    memory = talking("echo-message", delayed=True)
    memory.say(2, "PRIVMSG #hall :one", "PRIVMSG ada :two")
    memory.say(1, "@label=7 PRIVMSG #hall :three")
    memory.say(2, "PRIVMSG #hall :four")
    memory.say(1, "PRIVMSG #hall :five", "@label=8 JOIN #tea", "PRIVMSG #tea :six")
    memory.commit_all()
    bob = ":bob!~u@tcpchat"
    assert memory.lines(1) == [
        f"{bob} PRIVMSG #hall :one",
        f"{bob} PRIVMSG ada :two",
        f"@label=7 {ADA} PRIVMSG #hall :three",
        f"{bob} PRIVMSG #hall :four",
        f"{ADA} PRIVMSG #hall :five",
        "@label=8 :tcpchat BATCH +2 labeled-response",
        f"@batch=2 {ADA} JOIN #tea",
        "@batch=2 :tcpchat 353 ada = #tea :@ada",
        "@batch=2 :tcpchat 366 ada #tea :End of NAMES",
        ":tcpchat BATCH -2",
        f"{ADA} PRIVMSG #tea :six",
    ]


def test_a_label_costs_nothing() -> None:
    limits = ServerLimits(flood_burst=20, flood_rate=5)
    answered = []
    for label in ("", "@label=7 "):
        memory = talking("echo-message", limits=limits)
        memory.wait(60_000)
        memory.read(1)
        memory.say(1, *[f"{label}PRIVMSG #hall :{number}" for number in range(25)])
        assert memory.paused == {1}
        answered.append(sum("PRIVMSG" in line for line in memory.lines(2)))
    assert answered == [20, 20]


def test_what_is_too_fast_is_answered_with_its_labels_all_the_same() -> None:
    memory = talking(limits=ServerLimits(flood_burst=3, flood_rate=5))
    memory.wait(60_000)
    memory.read(1)
    rooms = ",".join(f"#room-{number}" for number in range(9))
    told = memory.say(1, f"@label=7 JOIN {rooms}", "@label=8 PRIVMSG #hall :hello")
    memory.wait_until_heard(1)
    told += memory.lines(1)
    assert told[0] == "@label=7 :tcpchat BATCH +1 labeled-response"
    assert told[-2:] == [":tcpchat BATCH -1", "@label=8 :tcpchat ACK"]
    assert all(line.startswith("@batch=1 ") for line in told[1:-2])


# ── Before the welcome ───────────────────────────────────────────────────────────────────────


def test_lines_before_the_welcome_may_have_labels_and_that_is_no_answer_to_one() -> None:
    memory = IrcServer()
    memory.connect(1)
    memory.say(1, "CAP LS 302", "CAP REQ :batch labeled-response")
    assert memory.say(1, "@label=1 CAP LIST", "@label=2 NICK ada", "@label=3 JOIN #hall") == [
        "@label=1 :tcpchat CAP * LIST :batch cap-notify labeled-response",
        "@label=2 :tcpchat ACK",
        "@label=3 :tcpchat 451 * :say NICK and USER first",
    ]
    told = memory.say(1, "@label=4 USER x 0 * :x", "@label=5 CAP END", "@label=6 PING x")
    assert told[:2] == ["@label=4 :tcpchat ACK", "@label=5 :tcpchat ACK"]
    assert numerics(told[2:-1]) == WELCOME
    assert told[-1] == "@label=6 :tcpchat PONG tcpchat :x"


@pytest.mark.parametrize("is_registered", [False, True])
def test_signing_in_is_answered_with_its_label(is_registered: bool) -> None:
    memory = IrcServer()
    memory.log.append(entry(1, 0, events.Grant("ada", "ada", device=session(TOKEN))))
    memory.carry_out(memory.protocol.commit(memory.log, now=0))
    memory.register(1, "bob", *CAPS) if is_registered else memory.connect(1)
    memory.say(1, "CAP REQ :batch labeled-response")
    first, second = AUTHENTICATE
    assert memory.say(1, f"@label=1 {first}") == ["@label=1 AUTHENTICATE +"]
    told = memory.say(1, f"@label=2 {second}")
    assert told[0] == "@label=2 :tcpchat BATCH +2 labeled-response".replace(
        "+2", told[0].split()[3]
    )
    assert numerics(told)[-3:] == ["900", "903", "BATCH"]
    if not is_registered:
        told = memory.say(1, "NICK x", "USER x 0 * :x", "@label=3 CAP END")
        assert told[0] == "@label=3 :tcpchat ACK"
        assert numerics(told[1:]) == WELCOME


AUTHENTICATE = [
    "AUTHENTICATE PLAIN",
    f"AUTHENTICATE {base64.b64encode(f'{chr(0)}ada{chr(0)}{TOKEN}'.encode()).decode()}",
]


# ── All of it ────────────────────────────────────────────────────────────────────────────────

LINES = st.sampled_from(
    [
        "AWAY",
        "AWAY :tea",
        "CAP LIST",
        "CAP LS",
        "CAP REQ :echo-message server-time",
        "CAP REQ -echo-message",
        "HELP",
        "INVITE bob #hall",
        "ISON ada",
        "JOIN #hall",
        "JOIN #tea,#den,tea",
        "JOIN 0",
        "KICK #hall bob,nobody",
        "LIST",
        "MODE #hall +b bob",
        "MODE #hall +bm-b",
        "MODE #hall +o bob",
        "MODE #hall b",
        "MODE ada",
        "MONITOR + bob,nobody",
        "MONITOR C",
        "MONITOR L",
        "MOTD",
        "NAMES #hall,#tea,x",
        "NICK ada",
        "NICK bob",
        "NICK ida",
        "NOTICE bob,#hall :hello",
        "PART #hall,#tea :bye",
        "PING x",
        "PONG x",
        "PRIVMSG #hall :hello",
        "PRIVMSG bob,#hall,nobody,#tea :hello",
        "PRIVMSG ada :hello",
        "QUIT :bye",
        "TOPIC #hall",
        "TOPIC #hall :tea",
        "USERHOST ada bob nobody",
        "WHO #hall %tna,1",
        "WHO bob",
        "WHOIS bob",
        "WHOWAS bob",
        "nonsense",
    ]
)


def unlabelled(lines: list[Line], labels: list[str]) -> list[Line]:
    """Lines without what labels add to them: each is answered once, in its turn, as a whole."""
    found: list[Line] = []
    answered: list[str] = []
    open_batch = ""
    is_history = False
    for tags, source, command, params in lines:
        if "label" in tags:
            answered.append(tags.pop("label"))
        match command, params:
            case "ACK", _:
                assert "batch" not in tags
            case "BATCH", ("+history" | "-history", *_):
                assert tags.pop("batch", open_batch) == open_batch or not tags
                is_history = params[0] == "+history"
                found.append(Line(tags, source, command, params))
            case _ if is_history:
                assert tags["batch"] == "history"
                found.append(Line(tags, source, command, params))
            case "BATCH", (name, "labeled-response"):
                assert not open_batch
                open_batch = name[1:]
            case "BATCH", (name,):
                assert name == f"-{open_batch}"
                open_batch = ""
            case _:
                assert tags.pop("batch", open_batch) == open_batch or not tags
                found.append(Line(tags, source, command, params))
    assert not open_batch
    assert answered == labels[: len(answered)]
    return found


@given(
    lines=st.lists(st.tuples(LINES, st.booleans()), max_size=12),
    delayed=st.booleans(),
    echo=st.booleans(),
)
def test_labels_change_nothing_but_that_each_is_answered_once(
    lines: list[tuple[str, bool]], delayed: bool, echo: bool
) -> None:
    shown: list[list[Line]] = []
    for has_labels in (True, False):
        memory = talking(*(["echo-message"] if echo else []), delayed=delayed)
        said, labels = [], []
        for place, (line, is_labelled) in enumerate(lines):
            tag = f"@label=x{place} " if is_labelled and has_labels else ""
            labels += [f"x{place}"] if tag else []
            said.append(f"{tag}{line}")
        memory.send(1, "".join(f"{line}\r\n" for line in said).encode())
        memory.send(2, b"PRIVMSG #hall :meanwhile\r\nPRIVMSG ada :meanwhile\r\n")
        memory.commit_all()
        shown.append(unlabelled(told(memory.read(1)), labels))
    assert shown[0] == shown[1]
