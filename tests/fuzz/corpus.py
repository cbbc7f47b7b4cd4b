"""What a fuzzer begins with: bytes of all dialects, right, nearly right, and hostile."""

from __future__ import annotations

from typing import Final

# A page of the server's asks for its WebSocket, and says hello on it: the mask is 0.
UPGRADE: Final = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: tcpchat.jsonl\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HELLO: Final = b'\x81\x90\x00\x00\x00\x00{"type":"hello"}'

# What a peer may send first.
OPENINGS: Final = (
    b"",
    b"\n",
    b"/join lobby\nhello\n",
    b"/join #lobby\r\n/me waves\r\n/topic tea\r\n/who\r\n/out\r\n",
    b"/nick ada\n/msg bob psst\n/tell ada psst\n/rooms\n/history 5\n/help nick\n/quit bye\n",
    b"/nick \xd0\xb0da\n/nick system\n/nick guest-1\n/nick a b\n/nick \xe2\x80\xaeada\n",
    b"/join lobby\n\x1b[2J\x1b]0;owned\x07\x9b31m\xc2\x9b31m\xe2\x80\xa8* ada quit\xe2\x80\xaex\n",
    b"/join lobby\n//slash\n/\n/unheard-of\n/j lobby\n/msg\n",
    b"\xff\xfb\x01\xff\xfa\x18\x00xterm\xff\xf0/join lobby\r\nhi\xff\xffthere\r\n\xff",
    b"\xff\xfa never ended",
    b"\xc0\xaf\xed\xa0\x80\xf5\x80\x80\x80\n\xfe\xff\n\x00\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: [::1]:1\r\nIf-None-Match: *\r\nAccept-Encoding: gzip;q=0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: local\nhost\r\n folded\r\n\r\n",
    UPGRADE,
    UPGRADE + HELLO + b"\x89\x83abcd\x00\x00\x00" + b"\x88\x82\x00\x00\x00\x00\x03\xe9",
    UPGRADE + HELLO + b"\x01\x82\x00\x00\x00\x00{}" + b"\x00\x80\x00\x00\x00\x00" * 9,
    UPGRADE + b"\x81\xfe\x7f\xff\x00\x00\x00\x00" + b"z" * 40_000,
    UPGRADE + b"\x81\xff\x00\x00\x00\x00\x00\x98\x96\x80\x00\x00\x00\x00",
    UPGRADE + b"\x82\x81\x00\x00\x00\x00x" + HELLO,
    b"POST /chat HTTP/1.1\r\nContent-Length: 12\r\n\r\n/join lobby\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"x" * 70_000 + b"\n/join lobby\n",
    b"/join lobby\n" + b"y" * 3_000 + b"\n" + "é".encode() * 2_000 + b"\n",
    b'{"type":"hello"}\n{"type":"join","room":"lobby"}\n{"type":"say","room":"lobby","text":"hi"}\n',
    b'{"type":"hello","token":"x","seen":{"lobby":9223372036854775807},"told":-1}\n',
    b'{"type":"hello"}\n{"type":"say","room":"lobby","text":"a","id":"1"}\n{"type":"hello"}\n',
    b'{"type":"hello"}\n{"type":"history","room":"lobby","before":-5,"limit":-1}\n{"type":"rooms"}\n',
    b'{"type":"hello"}\n{"type":"history","room":"lobby","limit":1e400}\n{"type":"ping","id":null}\n',
    b'{"type":"hello"}\n{"type":"nick","nick":"\\ud800"}\n{"type":"nick","nick":"\\u001b[2J"}\n',
    b'{"type":"hello"}\n{"type":"join","room":"lobby","key":"attic"}\n{"type":"expire"}\n{"type":1}\n',
    b'{"type":"hello"}\n{"type":"connect","session":""}\n{"type":"resume"}\n{"type":"disconnect"}\n',
    b'{"type":"hello"}\n' + b"[" * 30_000 + b"\n" + b'{"a":' * 5_000 + b"\n",
    b'{"type":"hello"}\n{"type":"topic","room":"lobby","topic":"\\u2028\\u202e"}\n{"type":"quit"}\n',
    b'{"type":"join","room":"lobby"}\n{"type":"tell","nick":"guest-1","text":"x","id":""}\n',
    b'{"type":"say","type":"quit","room":"lobby","text":"x"}\nnull\n[]\n""\n0\n',
    b'{\n{}\n{"type":"pong"}\n{"type":"who","room":"' + b"z" * 60_000 + b'"}\n',
    b"NICK ada\r\nUSER ada 0 * :Ada\r\nJOIN #lobby,#tea key\r\nPRIVMSG #lobby :hi\r\nQUIT :bye\r\n",
    (
        b"CAP LS 302\r\nJOIN :\r\nCAP REQ :server-time message-tags echo-message\r\nCAP END\r\n"
        b"NICK p|a\r\nUSER p 0 * p\r\nJOIN #lobby\r\n"
        b"@+a=\\;b PRIVMSG #lobby :\x01ACTION \x0304,1hi\x01\r\n"
    ),
    (
        b"USER a 0 * a\nNICK |\nJOIN #lobby\rCAP REQ :-server-time\rWHO #lobby %tcn,42\r"
        b"MODE #lobby +o-b a b\nNOTICE a :\xff\n"
    ),
    b"PASS :a:b\r\nNICK a\r\nUSER a 0 * a\r\n",
    b"NICK a\r\nUSER a 0 * a\r\nJOIN #" + b"a,#" * 9_000 + b"\r\n",
    # The tests' third dialect: netstrings.
    b"11:/join lobby,2:hi,7:.mark 3,4:/who,8:/history,",
    b"7:.mark 1,7:.mark 2,11:/join lobby,1:\xff,0:,8:/nick Ed,5:/quit,3:bye,",
    b"11:/join lobby,00002:hi,2:hi.2:hi,",
    b"99999:" + b"q" * 40_000,
    b"1234567",
)

# What a server may answer.
ANSWERS: Final = (
    b"",
    b"* Welcome to tcpchat. You are guest-1.\n",
    b"! password-needed: this server has a password: say it first\n",
    (
        b'{"type":"welcome","nick":"ada","epoch":"0","token":"t"}\n'
        b'{"type":"entered","room":"lobby","members":["ada"],"count":1,"seq":1,"at":0}\n'
        b'{"type":"joined","room":"lobby","nick":"bob","seq":1,"at":0}\n'
        b'{"type":"said","room":"lobby","nick":"bob","text":"hi","seq":2,"at":0}\n'
    ),
    b'{"type":"welcome","nick":"ada","epoch":"0","limits":{"line_bytes":-1,"unacknowledged":-1}}\n',
    (
        b'{"type":"welcome","nick":"a","epoch":"0"}\n{"type":"sent","id":"1","room":"lobby","seq":-1}\n'
        b'{"type":"rejected","reason":"not-in-room","text":"","id":"1"}\n{"type":"pong"}\n'
    ),
    (
        b'{"type":"resumed","nick":"ada","epoch":"0","rooms":[{"room":"lobby","members":[],"count":0,'
        b'"seq":1}]}\n{"type":"gap","room":"lobby","oldest":9}\n{"type":"gap","room":"","oldest":-9}\n'
    ),
    b'{"type":"ping","id":"1"}\n{"type":"closing","reason":"\\u001b[2J","retry":-1}\n',
    (
        b'{"type":"left","room":"lobby","nick":"ada","own":true}\n{"type":"gone","nick":"ada"}\n'
        b'{"type":"renamed","old":"ada","new":"bob","own":true}\n'
    ),
    b'{"type":"rooms","rooms":[{"room":"lobby","members":1}],"more":-1}\n{"type":"who"}\n',
    b"\xff\xfe\n" + b"[" * 20_000 + b"\n",
)
