"""Accounts on the page: a code in the address, several tabs and devices, what was read, bans."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, WebSocketRoute, expect

from tests.cli.cable import Plug
from tests.cli.test_admin import code_for
from tests.web.conftest import LIMIT_S, People, Program, Site, agree
from tests.web.test_page import no_pending, notes, say, shows, texts

Serve = Callable[..., Site]

NO_STORAGE = """
    for (const storage of ["localStorage", "sessionStorage"])
        Object.defineProperty(window, storage, {get() { throw new DOMException("no"); }});
"""
LOOK_AWAY = "document.hasFocus = () => false"
LOOK_BACK = "() => { document.hasFocus = () => true; dispatchEvent(new Event('focus')); }"
ASKED = (
    "The address that you opened has a code that makes this browser a device of an account on {}:"
    " use it only if it was meant for you."
)
ASKED_INSTEAD = ASKED.replace("{}", "{}, in place of the one that it is a device of now")
FORGOTTEN = (
    "This device is no longer one of an account, so you are a guest here; ask for a new code."
)


@pytest.fixture
def site(serve: Serve, tmp_path: Path) -> Site:
    """A server that keeps what is said, and so has accounts."""
    return serve("--data", str(tmp_path))


def token_of(page: Page) -> str:
    """By which token the browser comes to an account; "" when by none."""
    return str(json.loads(page.evaluate("localStorage['tcpchat.device'] ?? null") or '""'))


def claims(people: People, site: Site, code: str, nick: str = "ada", **options: Any) -> Page:
    """Somebody follows an address with a code, uses that, and comes in."""
    page = people.opens(f"{site.url}#claim={code}", **options)
    agree(page)
    expect(page.locator("#account-nick")).to_have_text(nick)
    page.fill("#room", "lobby")
    page.press("#room", "Enter")
    expect(page.locator("#title")).to_have_text("lobby")
    return page


def another_tab(context: BrowserContext, site: Site) -> Page:
    page = context.new_page()
    page.goto(site.url)
    return page


class Overheard:
    """What the pages of somebody ask of the server."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(self, page: WebSocketRoute) -> None:
        server = page.connect_to_server()

        def pass_on(text: str | bytes) -> None:
            self.asked.append(json.loads(text))
            server.send(text)

        page.on_message(pass_on)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.asked if each["type"] == kind]


# ── Becoming a device ────────────────────────────────────────────────────────────────────────


def test_a_code_in_the_address_makes_the_browser_a_device_of_an_account(
    site: Site, people: People, tmp_path: Path
) -> None:
    overheard, code = Overheard(), code_for(tmp_path, "ada")
    ada = people.opens("about:blank", socket=overheard)
    context, heard = people.contexts[-1], list[str]()
    context.on("console", lambda message: heard.append(message.text))
    people.complaints.clear()  # that another address is asked for than the first
    ada.goto(f"{site.url}#claim={code}")
    agree(ada)
    expect(ada.locator("#account")).to_have_text("You come in as ada.")
    expect(ada.locator("#nick")).to_be_hidden()
    expect(ada).to_have_url(site.url)
    ada.fill("#room", "lobby")
    ada.press("#room", "Enter")
    expect(ada.locator("#me")).to_have_text("ada")
    say(ada, "hello")
    shows(ada, "hello")
    token = token_of(ada)
    assert len(token) == 64
    ada.go_back()
    ada.go_forward()
    expect(ada.locator("#me")).to_have_text("ada")
    expect(ada).to_have_url(f"{site.url}#lobby")
    kept = ada.evaluate("JSON.stringify([{...sessionStorage}, history.state, document.title])")
    for secret in (token, code):
        assert secret not in f"{ada.content()} {ada.url} {kept} {heard}"
    ada.close()
    # From then on it comes so, and is not asked who it is.
    later = another_tab(context, site)
    people.complaints.clear()
    expect(later.locator("#title")).to_have_text("lobby")
    expect(later.locator("#me")).to_have_text("ada")
    assert overheard.of("hello")[-1]["device"] == token
    assert [each["code"] for each in overheard.of("claim")] == [code]


def test_a_code_that_is_typed_does_the_same_and_is_not_recalled(
    site: Site, people: People, tmp_path: Path
) -> None:
    pia = people.comes(site, "pia")
    say(pia, f"/claim {code_for(tmp_path, 'ada')} laptop")
    notes(pia, "this is device 1 of ada")
    expect(pia.locator("#me")).to_have_text("ada")
    pia.press("#text", "ArrowUp")
    expect(pia.locator("#text")).to_have_value("/claim")
    pia.fill("#text", "")
    token = token_of(pia)
    assert len(token) == 64
    assert token not in pia.content()
    say(pia, "/devices")
    expect(pia.locator("#log")).to_contain_text("device 1 (laptop) since")
    # Last, for after a wrong one who comes from there has to wait.
    eve = people.comes(site, "eve")
    say(eve, "/claim 12345-67890")
    notes(eve, "there is no such code, or not any more; ask for another")
    pia.reload()
    expect(pia.locator("#me")).to_have_text("ada")


def test_a_code_that_is_none_leaves_one_at_the_entrance_with_a_sentence(
    site: Site, people: People
) -> None:
    pia = people.opens(f"{site.url}#claim=12345-67890")
    agree(pia)
    expect(pia.locator("#enter-error")).to_have_text(
        "there is no such code, or not any more; ask for another"
    )
    expect(pia).to_have_url(site.url)
    pia.fill("#nick", "pia")
    pia.press("#nick", "Enter")
    expect(pia.locator("#me")).to_have_text("pia")


def test_a_code_in_an_address_is_not_used_before_one_agrees(
    site: Site, people: People, tmp_path: Path
) -> None:
    overheard, code = Overheard(), code_for(tmp_path, "ada")
    pia = people.opens(f"{site.url}#claim={code}", socket=overheard)
    question = pia.locator("#claim-dialog")
    expect(pia.locator("#claim-text")).to_have_text(ASKED.format(site.address))
    expect(pia).to_have_url(site.url)
    pia.keyboard.press("Enter")  # as who has begun to type at the entrance does
    expect(question).to_be_visible()
    pia.keyboard.press("Escape")
    expect(question).to_be_hidden()
    pia.fill("#nick", "pia")
    pia.press("#nick", "Enter")
    expect(pia.locator("#me")).to_have_text("pia")
    # An address that is opened while one is in is no other.
    pia.evaluate("code => { location.hash = `#claim=${code}`; }", code)
    expect(question).to_be_visible()
    expect(pia).to_have_url(site.url)
    question.get_by_text("No", exact=True).click()
    expect(question).to_be_hidden()
    pia.reload()
    expect(pia.locator("#me")).to_have_text("pia")
    assert overheard.of("claim") == []
    # What one does not agree to is worth as much as before.
    pia.evaluate("code => { location.hash = `#claim=${code}`; }", code)
    agree(pia)
    expect(pia.locator("#me")).to_have_text("ada")
    assert [each["code"] for each in overheard.of("claim")] == [code]


def test_a_code_in_an_address_is_not_used_by_who_is_on_a_device_already(
    site: Site, people: People, tmp_path: Path
) -> None:
    overheard = Overheard()
    ada = claims(people, site, code_for(tmp_path, "ada"), socket=overheard)
    token = token_of(ada)
    ada.evaluate("code => { location.hash = `#claim=${code}`; }", code_for(tmp_path, "eve"))
    notes(ada, "You are ada here already, so the code in the address was not used.")
    expect(ada.locator("#claim-dialog")).to_be_hidden()
    assert token_of(ada) == token
    assert len(overheard.of("claim")) == 1


def test_a_code_does_not_take_the_place_of_a_device_unsaid(
    site: Site, people: People, tmp_path: Path
) -> None:
    pia = people.opens(f"{site.url}#claim={code_for(tmp_path, 'eve')}")
    asked = pia.locator("#claim-text")
    expect(asked).to_have_text(ASKED.format(site.address))
    # While that stands there another tab becomes a device, which all tabs share.
    ada = another_tab(people.contexts[-1], site)
    ada.fill("#room", "lobby")
    ada.press("#room", "Enter")
    say(ada, f"/claim {code_for(tmp_path, 'ada')}")
    notes(ada, "this is device 1 of ada")
    token = token_of(ada)
    agree(pia)
    expect(asked).to_have_text(ASKED_INSTEAD.format(site.address))
    assert token_of(pia) == token
    agree(pia)
    expect(pia.locator("#account-nick")).to_have_text("eve")
    assert token_of(pia) not in ("", token)


@pytest.mark.parametrize("goes_on", [True, False], ids=["session goes on", "session is lost"])
def test_a_code_whose_answer_is_lost_is_good_all_the_same(
    site: Site, people: People, tmp_path: Path, goes_on: bool
) -> None:
    lost = list[str]()

    def connect(page: WebSocketRoute) -> None:
        server = page.connect_to_server()

        def ask(text: str | bytes) -> None:
            asked = json.loads(text)
            if asked["type"] == "hello" and not goes_on:
                asked = {"type": "hello"}
            server.send(json.dumps(asked))

        def tell(text: str | bytes) -> None:
            if json.loads(text)["type"] == "claimed" and not lost:
                lost.append(str(text))
                server.close()
                page.close()
            else:
                page.send(text)

        page.on_message(ask)
        server.on_message(tell)

    pia = people.comes(site, "pia", socket=connect)
    say(pia, f"/claim {code_for(tmp_path, 'ada')}")
    notes(pia, "this is device 1 of ada")
    expect(pia.locator("#me")).to_have_text("ada")
    expect(pia.locator("#log").get_by_text("code")).to_have_count(0)
    assert len(lost) == 1
    assert token_of(pia)
    pia.reload()
    expect(pia.locator("#me")).to_have_text("ada")


def test_a_browser_that_keeps_nothing_is_a_device_in_this_tab(
    site: Site, people: People, tmp_path: Path
) -> None:
    ada = claims(people, site, code_for(tmp_path, "ada"), script=NO_STORAGE)
    notes(ada, "This browser keeps nothing: you are ada in this tab only.")
    expect(ada.locator("#me")).to_have_text("ada")
    say(ada, "/devices")
    expect(ada.locator("#log")).to_contain_text("this one")


def test_a_device_that_was_revoked_is_forgotten_with_one_sentence(
    site: Site, people: People, tmp_path: Path
) -> None:
    ada = claims(people, site, code_for(tmp_path, "ada"))
    say(ada, "/revoke 1")
    expect(ada.locator("#status")).to_contain_text("this device was revoked")
    assert token_of(ada)
    ada.locator("#status button").click()
    notes(ada, FORGOTTEN)
    expect(ada.locator("#title")).to_have_text("lobby")
    expect(ada.locator("#me")).to_contain_text("guest-")
    assert token_of(ada) == ""
    say(ada, "hello")
    shows(ada, "hello")
    expect(ada.locator("#log").get_by_text(FORGOTTEN)).to_have_count(1)


# ── Several of them ──────────────────────────────────────────────────────────────────────────


def test_several_tabs_are_one_person_and_none_of_them_ends_another(
    site: Site, people: People, tmp_path: Path
) -> None:
    overheard = Overheard()
    with Program(site.address, "bob", "lobby") as bob:
        one = claims(people, site, code_for(tmp_path, "ada"), socket=overheard)
        two = another_tab(people.contexts[-1], site)
        expect(two.locator("#title")).to_have_text("lobby")
        expect(two.locator("#me")).to_have_text("ada")
        say(one, "from the first")
        shows(two, "from the first")
        say(two, "from the second")
        shows(one, "from the second")
        no_pending(two)
        for page in (one, two):
            assert texts(page) == ["from the first", "from the second"]
            expect(page.locator("#log .row.own")).to_have_count(2)
            expect(page.locator("#people-title")).to_have_text("2 here")
            expect(page).to_have_title("lobby – tcpchat")
        # What was said to one person on one of them is one's own on the other.
        say(one, "/msg bob psst")
        shows(one, "psst")
        assert bob.wait(type="told", text="psst")["nick"] == "ada"
        two.locator("#directs button.direct", has_text="bob").click()
        shows(two, "psst")
        expect(two.locator("#log .row.own")).to_have_count(1)
        expect(two.locator("#directs .count")).to_have_count(0)
        bob.ask(type="tell", nick="ada", text="what?")
        for page in (one, two):
            shows(page, "what?")
        one.reload()
        shows(one, "psst")
        bob.ask(type="tell", nick="ada", text="here?")
        shows(one, "here?")  # from the server, and not as it was kept in the tab
        assert len(overheard.of("hello")) == 3  # a session for each, and one that was resumed
        assert bob.heard(type="gone", nick="ada") == []


def test_lists_are_shown_where_one_asks(site: Site, people: People, tmp_path: Path) -> None:
    ada = claims(people, site, code_for(tmp_path, "ada", "--admin"))
    say(ada, "/keep")
    notes(ada, "lobby is kept now, says ada")
    say(ada, "/who")
    notes(ada, "1 in lobby: ada. Owners: ada. Moderators: ada. It is kept")
    say(ada, "/bans --server")
    notes(ada, "nobody is banned from this server, or muted there")
    with Program(site.address, "troll", "den") as troll:
        say(ada, "/mute troll 10m noise --server")
        notes(ada, "troll is muted on this server for 10 min, by ada (noise)")
        say(ada, "/kick troll --server")
        notes(ada, "troll was put out of this server")
        troll.wait(type="closing")
    say(ada, "/audit 1")
    expect(ada.locator("#log")).to_contain_text("ada kick troll on this server")
    say(ada, "/device")
    expect(ada.locator("#log")).to_contain_text("on another device makes it one of ada, for")


# ── What was read ────────────────────────────────────────────────────────────────────────────


def test_what_is_read_on_one_device_is_not_new_on_another(
    site: Site, people: People, cable: Callable[[Site], tuple[Plug, Site]], tmp_path: Path
) -> None:
    overheard = Overheard()
    with Program(site.address, "bob", "lobby") as bob:
        desk = claims(people, site, code_for(tmp_path, "ada"), socket=overheard)
        plug, far = cable(site)
        phone = people.opens(f"{far.url}#claim={code_for(tmp_path, 'ada')}")
        agree(phone)
        expect(phone.locator("#title")).to_have_text("lobby")  # where the other is
        phone.evaluate(LOOK_AWAY)
        desk.evaluate(LOOK_AWAY)
        bob.say("lobby", "ada: tea?", "milk?")
        shows(desk, "milk?")
        expect(phone).to_have_title("(2!) lobby – tcpchat")
        expect(desk).to_have_title("(2!) lobby – tcpchat")
        before = len(overheard.of("read"))
        desk.evaluate(LOOK_BACK)
        expect(phone).to_have_title("lobby – tcpchat")
        last = bob.wait(type="sent", id="milk?-1")["seq"]
        assert overheard.of("read")[-1] == {"type": "read", "room": "lobby", "seq": last}
        # Not for each message: once in a while.
        since = time.monotonic()
        bob.say("lobby", *(f"line {number}" for number in range(20)))
        shows(desk, "line 19")
        expect(phone).to_have_title("lobby – tcpchat")
        sent = len(overheard.of("read")) - before
        assert sent <= 2 + (time.monotonic() - since) / 5
        # Who is away meanwhile finds it read, too.
        plug.pull()
        expect(phone.locator("#status")).to_contain_text("The connection is lost")
        bob.say("lobby", "while you were away")
        shows(desk, "while you were away")
        last = bob.wait(type="sent", id="while you were away-0")["seq"]
        end = time.monotonic() + LIMIT_S
        while overheard.of("read")[-1]["seq"] < last:
            desk.evaluate("1")  # so that what it sends is heard
            assert time.monotonic() < end
        plug.put_back()
        shows(phone, "while you were away")
        expect(phone).to_have_title("lobby – tcpchat")


def test_a_guest_does_not_tell_what_it_has_read(site: Site, people: People) -> None:
    overheard = Overheard()
    with Program(site.address, "bob", "lobby") as bob:
        pia = people.comes(site, "pia", socket=overheard)
        bob.say("lobby", "tea?")
        shows(pia, "tea?")
        say(pia, "yes")
        no_pending(pia)
        shows(pia, "yes")
    assert overheard.of("read") == []


# ── Who is banned ────────────────────────────────────────────────────────────────────────────


def test_who_is_banned_from_the_server_is_told_so_and_does_not_come_again_by_itself(
    site: Site, people: People, tmp_path: Path
) -> None:
    overheard = Overheard()
    with Program(site.address, "eve") as eve:
        eve.ask(type="claim", code=code_for(tmp_path, "ada", "--admin"))
        eve.wait(type="claimed")
        pia = claims(people, site, code_for(tmp_path, "pia"), "pia", socket=overheard)
        eve.ask(type="restrict", room="", nick="pia", what="ban", ms=3_600_000, server=True)
        expect(pia.locator("#status")).to_contain_text("you were banned for 1 h by ada")
        many = len(overheard.of("hello"))
        pia.locator("#status button").click()
        expect(pia.locator("#status, #enter-status").filter(visible=True)).to_contain_text(
            "you are banned from this server for another"
        )
        expect(pia.locator("#password")).to_be_hidden()
        pia.evaluate("dispatchEvent(new Event('online'))")
        pia.evaluate("new Promise(done => setTimeout(done, 1500))")
        assert len(overheard.of("hello")) == many + 1
        # A button may: until the ban is over it is refused again.
        eve.ask(type="lift", room="", nick="pia", what="ban", server=True)
        eve.wait(type="lifted")
        pia.locator("#status button, #enter .primary").filter(visible=True).click()
        expect(pia.locator("#title")).to_have_text("lobby")


# ── By a word ────────────────────────────────────────────────────────────────────────────────


def test_a_private_room_opens_to_its_secret(site: Site, people: People, tmp_path: Path) -> None:
    with Program(site.address, "bob", "den") as bob:
        bob.ask(type="claim", code=code_for(tmp_path, "bob"))
        bob.ask(type="mode", room="den", private=True, kept=True, secret="teapot")
        bob.wait(type="mode")
        pia = people.comes(site, "pia")
        say(pia, "/join den")
        notes(pia, "den is private; who moderates it can invite you")
        say(pia, "/join den teapot")
        expect(pia.locator("#title")).to_have_text("den")


def test_who_says_a_password_is_the_account_and_no_device_of_it(
    site: Site, people: People, tmp_path: Path
) -> None:
    ada = claims(people, site, code_for(tmp_path, "ada"))
    say(ada, "/password correct horse")
    notes(ada, "ada has a new password now")
    pia = people.comes(site, "pia", "den")
    say(pia, "/login ada correct horse")
    expect(pia.locator("#me")).to_have_text("ada")
    expect(pia.locator("#title")).to_have_text("lobby")  # where the account is
    notes(pia, "you have come as ada")
    pia.press("#text", "ArrowUp")
    expect(pia.locator("#text")).to_have_value("/login")
    assert token_of(pia) == ""
    pia.reload()
    expect(pia.locator("#me")).to_have_text("ada")
