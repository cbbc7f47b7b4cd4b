"""The page in a real browser: people who talk, and all that comes between them."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, WebSocketRoute, expect

from tests.cli.cable import Plug
from tests.cli.serving import Talker
from tests.web.conftest import NARROW, People, Program, Site, agree
from tests.web.smoothness import WATCH
from tests.web.tables import PAGE

Serve = Callable[..., Site]

# What comes with the next frame has been drawn.
TWO_FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"

# From then on `window.readOut` has what is put into the log while that is read out.
READ_OUT = """() => {
    window.readOut = [];
    const log = document.getElementById("log");
    new MutationObserver(changes => {
        if (log.getAttribute("aria-live") === "off") return;
        for (const change of changes) for (const node of change.addedNodes)
            window.readOut.push(node.querySelector(".text").textContent);
    }).observe(log, {childList: true});
}"""


def say(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.press("#text", "Enter")


def texts(page: Page) -> list[str]:
    """What was said, as it stands in the log."""
    return page.locator("#log .row.said .text").all_text_contents()


def shows(page: Page, text: str) -> None:
    expect(page.locator("#log .row.said .text").get_by_text(text, exact=True)).to_be_visible()


def notes(page: Page, text: str) -> None:
    expect(page.locator("#log .row.note .text").get_by_text(text, exact=True)).to_be_visible()


def no_pending(page: Page) -> None:
    expect(page.locator("#pending .row")).to_have_count(0)


def paste(page: Page, text: str) -> None:
    page.evaluate(
        """text => {
            const data = new DataTransfer();
            data.setData("text/plain", text);
            const event = new ClipboardEvent("paste", {clipboardData: data, cancelable: true});
            document.getElementById("text").dispatchEvent(event);
        }""",
        text,
    )


def change_what_comes(
    people: People, change: Callable[[dict[str, Any]], dict[str, Any] | None]
) -> None:
    """From its next load on, the last page is told what `change` makes of each notice."""

    def pass_on(page: WebSocketRoute, text: str | bytes) -> None:
        notice = change(json.loads(text))
        if notice is not None:
            page.send(json.dumps(notice))

    def route(page: WebSocketRoute) -> None:
        server = page.connect_to_server()
        page.on_message(server.send)
        server.on_message(lambda text: pass_on(page, text))

    people.contexts[-1].route_web_socket("**/ws", route)


# ── Talking ──────────────────────────────────────────────────────────────────────────────────


def test_two_people_in_browsers_and_one_with_nc_talk(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Talker(site.address, "/nick nat\n/join lobby\n") as nat:
        nat.read_until("* You joined")
        pia = people.comes(site, "pia")
        leo = people.comes(site, "leo", **NARROW)
        say(pia, "hello from a browser")
        shows(leo, "hello from a browser")
        shows(pia, "hello from a browser")
        no_pending(pia)
        assert nat.read_until("[lobby]")[-1] == "[lobby] pia: hello from a browser"
        nat.send("pia: welcome\n")
        shows(leo, "pia: welcome")
        expect(pia.locator(".row.mention .text")).to_have_text("pia: welcome")
        say(leo, "/me waves")
        assert nat.read_until("[lobby]")[-1] == "[lobby] * leo waves"
        expect(pia.locator(".row.emote .text")).to_have_text("waves")
        expect(pia.locator("#people-title")).to_have_text("3 here")
        nat.send("/topic tea at four\n")
        expect(leo.locator("#topic")).to_have_text("tea at four")


def test_what_is_for_one_alone_is_a_conversation_of_its_own(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        ada.ask(type="tell", nick="pia", text="psst")
        count = pia.locator("#directs .count")
        expect(count).to_have_text("1 unread, 1 for you")
        expect(pia).to_have_title("(1!) lobby – tcpchat")
        pia.locator("#directs button.direct").click()
        shows(pia, "psst")
        expect(count).to_have_count(0)
        say(pia, "what?")
        assert ada.wait(type="told", text="what?")["nick"] == "pia"
        shows(pia, "what?")
        no_pending(pia)
        assert texts(pia) == ["psst", "what?"]


def test_the_words_of_a_bot_are_marked_and_who_is_away_is_told(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        ada.ask(type="say", room="lobby", text="it rains", notice=True)
        expect(pia.locator(".row.notice .text")).to_have_text("it rains")
        ada.ask(type="away", text="tea time")
        expect(pia.locator(".row.presence").last).to_contain_text("ada is away (tea time)")
        ada.ask(type="setname", name="Ada Lovelace")
        told = "ada tells a real name: Ada Lovelace"
        expect(pia.locator(".row.presence").last).to_contain_text(told)
        say(pia, "/msg ada psst")
        expect(pia.locator(".row.note").last).to_contain_text("ada is away (tea time)")
        say(pia, "/away gone")
        expect(pia.locator(".row.note").last).to_contain_text("you are away (gone)")
        assert ada.wait(type="away", nick="pia")["text"] == "gone"
        say(pia, "/name Pia P.")
        expect(pia.locator(".row.note").last).to_contain_text("you tell a real name: Pia P.")
        assert ada.wait(type="setname", nick="pia")["name"] == "Pia P."
        say(pia, "/whois ada")
        whois = "ada is a guest; is in lobby. Away: tea time. Real name: Ada Lovelace"
        expect(pia.locator(".row.note").last).to_contain_text(whois)


def test_another_room_counts_what_is_unread_and_marks_where_it_begins(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby", "den") as ada:
        pia = people.comes(site, "pia", "den")
        ada.say("den", "before")
        shows(pia, "before")
        say(pia, "/join lobby")
        expect(pia.locator("#title")).to_have_text("lobby")
        ada.say("den", "one", "pia, two")
        expect(pia.locator("#rooms .count")).to_have_text("2 unread, 1 for you")
        pia.keyboard.press("Alt+ArrowUp")
        expect(pia.locator("#title")).to_have_text("den")
        mark = pia.locator(".rule.new + .row .text")
        expect(mark).to_have_text("one")
        expect(pia).to_have_url(f"{site.url}#den")


def test_who_looks_away_finds_a_mark_and_a_count_and_is_called_only_when_meant(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia", permissions=["notifications"])
        pia.evaluate("""() => {
            window.called = [];
            window.Notification = class {
                static permission = "granted";
                static requestPermission = async () => "granted";
                constructor(title, {body}) { window.called.push([title, body]); }
            };
        }""")
        pia.evaluate("document.hasFocus = () => false")
        ada.say("lobby", "pia: early")
        expect(pia).to_have_title("(1!) lobby – tcpchat")
        assert pia.evaluate("window.called") == []  # nobody has asked for it
        pia.evaluate("document.hasFocus = () => true")
        pia.evaluate("dispatchEvent(new Event('focus'))")
        pia.locator("#notify").click()
        expect(pia.locator("#notify")).to_have_attribute("aria-pressed", "true")
        ada.say("lobby", "seen")
        shows(pia, "seen")
        pia.evaluate("document.hasFocus = () => false")
        ada.say("lobby", "not seen", "pia?")
        expect(pia).to_have_title("(2!) lobby – tcpchat")
        expect(pia.locator(".rule.new + .row .text")).to_have_text("not seen")
        assert pia.evaluate("window.called") == [["ada in lobby", "pia?"]]
        pia.evaluate("document.hasFocus = () => true")
        pia.evaluate("dispatchEvent(new Event('focus'))")
        expect(pia).to_have_title("lobby – tcpchat")
        expect(pia.locator(".rule.new")).to_have_count(1)  # until one has said something


def test_a_room_in_the_address_is_the_one_that_is_offered(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    pia = people.opens(f"{site.url}#tee-k%C3%BCche")
    pia.wait_for_selector("#entrance:not([hidden])")
    expect(pia.locator("#room")).to_have_value("tee-küche")
    pia.press("#room", "Enter")
    expect(pia.locator("#title")).to_have_text("tee-küche")


def test_a_page_opened_anew_goes_back_to_where_one_was(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    pia = people.comes(site, "pia")
    for room in ("den", "부엌"):  # one by one: what is typed stays with the room that is looked at
        say(pia, f"/join {room}")
        expect(pia.locator("#title")).to_have_text(room)
    pia.locator("#rooms button.room", has_text="den").click()
    expect(pia.locator("#title")).to_have_text("den")
    pia.close()
    later = people.contexts[-1].new_page()
    with Program(site.address, "ada", "lobby") as ada:
        if "pia" in ada.wait(type="entered")["members"]:
            ada.wait(type="gone", nick="pia")
    later.goto(site.url)
    expect(later.locator("#title")).to_have_text("den")
    expect(later.locator("#rooms .name")).to_have_text(["lobby", "den", "부엌"])
    expect(later.locator("#me")).to_have_text("pia")
    # Another tab is another person: its name is taken, and it is asked.
    other = people.contexts[-1].new_page()
    other.goto(f"{site.url}#attic")
    expect(other.locator("#enter-error")).to_have_text("the nickname pia is taken")
    other.fill("#nick", "pia-2")
    other.press("#nick", "Enter")
    expect(other.locator("#title")).to_have_text("attic")
    expect(other.locator("#rooms .name")).to_have_text(["lobby", "den", "부엌", "attic"])
    # Who leaves is not brought back.
    other.locator("#leave").click()
    other.close()
    last = people.contexts[-1].new_page()
    last.goto(site.url)
    last.wait_for_selector("#entrance:not([hidden])")
    expect(last.locator("#nick")).to_have_value("pia-2")
    expect(last.locator("#room")).to_have_value("attic")


def remembering(nick: str, room: str, *rooms: str) -> str:
    """A script after which a browser remembers who one was, and where."""
    kept = {"nick": nick, "room": room, "rooms": [*rooms]}
    return f"""if (location.protocol === "http:" && !localStorage["tcpchat.nick"])
        for (const [name, value] of Object.entries({json.dumps(kept)}))
            localStorage.setItem(`tcpchat.${{name}}`, JSON.stringify(value));"""


def test_an_address_with_a_room_leads_there_whoever_was_elsewhere(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    pia = people.opens(f"{site.url}#attic", script=remembering("pia", "den", "lobby", "den"))
    expect(pia.locator("#title")).to_have_text("attic")
    expect(pia.locator("#rooms .name")).to_have_text(["lobby", "den", "attic"])
    expect(pia.locator("#entrance")).to_be_hidden()
    expect(pia.locator("#text")).to_be_focused()
    assert pia.evaluate("localStorage['tcpchat.rooms']") == '["lobby","den","attic"]'


def test_a_room_that_one_may_not_go_back_to_is_told_and_the_others_are_there(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory", "--rooms-per-person", "2")
    pia = people.opens(site.url, script=remembering("pia", "no room", "one", "two", "three"))
    expect(pia.locator("#title")).to_have_text("one")
    expect(pia.locator("#rooms .name")).to_have_text(["one", "two"])
    expect(pia.locator("#log .row.error")).to_have_count(2)


def test_a_browser_that_keeps_nothing_will_do(serve: Serve, people: People) -> None:
    forbidden = """
        for (const storage of ["localStorage", "sessionStorage"])
            Object.defineProperty(window, storage, {get() { throw new DOMException("no"); }});
    """
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia", script=forbidden)
        say(pia, "hello")
        shows(pia, "hello")
        ada.ask(type="tell", nick="pia", text="psst")
        pia.locator("#directs button.direct").click()
        shows(pia, "psst")
        pia.reload()
        ada.wait(type="gone", nick="pia")
        expect(pia.locator("#entrance")).to_be_visible()
        expect(pia.locator("#nick")).to_have_value("")


def hold_the_rest(context: BrowserContext) -> list[Route]:
    """From now on pages have the entrance only; the list has what the rest of them waits for."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    context.route("**/page.js", hold)
    return held


def without_the_rest(context: BrowserContext) -> None:
    """From now on pages have the entrance only, and say when it has run."""
    script = "document.body.append('the rest')"
    context.route(
        "**/page.js", lambda route: route.fulfill(body=script, content_type="text/javascript")
    )


@pytest.mark.parametrize("password", ["", "open sesame"])
def test_who_is_quick_is_in_as_soon_as_the_rest_of_the_page_is_there(
    serve: Serve, people: People, tmp_path: Path, password: str
) -> None:
    (tmp_path / "password").write_text(password)
    flags = ("--password-file", str(tmp_path / "password")) if password else ()
    site = serve("--in-memory", *flags)
    people.opens(site.url)
    held = hold_the_rest(people.contexts[-1])
    pia = people.contexts[-1].new_page()
    pia.goto(f"{site.url}#attic", wait_until="commit")
    expect(pia.locator("#nick")).to_be_focused()
    expect(pia.locator("#room")).to_have_value("attic")
    pia.keyboard.type("pia")
    pia.fill("#room", "den")
    pia.press("#room", "Enter")
    held[0].continue_()
    if password:
        expect(pia.locator("#password")).to_be_focused()
        pia.keyboard.type(password)
        pia.keyboard.press("Enter")
    expect(pia.locator("#title")).to_have_text("den")
    expect(pia.locator("#me")).to_have_text("pia")
    expect(pia.locator("#enter-error")).to_have_text("")


def test_what_is_begun_at_the_entrance_stays_when_the_rest_of_the_page_comes(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    people.opens(site.url, script=remembering("pia", "den"))
    held = hold_the_rest(people.contexts[-1])
    pia = people.contexts[-1].new_page()
    pia.goto(f"{site.url}#attic", wait_until="commit")
    expect(pia.locator("#room")).to_be_focused()
    expect(pia.locator("#nick")).to_have_value("pia")
    pia.fill("#room", "kitchen")
    pia.fill("#nick", "")
    held[0].continue_()
    expect(pia.locator("#nick")).to_have_attribute("placeholder", re.compile("guest"))
    expect(pia.locator("#nick")).to_have_value("")
    expect(pia.locator("#nick")).to_be_focused()
    expect(pia.locator("#room")).to_have_value("kitchen")


def test_who_is_in_without_being_asked_sees_no_entrance_on_the_way(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    pia = people.comes(site, "pia")
    without_the_rest(people.contexts[-1])
    pia.reload()
    later = people.contexts[-1].new_page()
    later.goto(site.url)
    for page in (pia, later):
        expect(page.locator("body")).to_contain_text("the rest")
        expect(page.locator("#entrance")).to_be_hidden()


def test_a_code_in_the_address_is_no_room(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby"):
        pia = people.opens(f"{site.url}#claim=aB3xYz")
        agree(pia)
        expect(pia.locator("#offered-rooms .name")).to_have_text(["lobby"])
        expect(pia.locator("#room")).to_have_value("lobby")
        pia.fill("#nick", "pia")
        pia.press("#nick", "Enter")
        expect(pia.locator("#title")).to_have_text("lobby")
        pia.evaluate("location.hash = '#claim=aB3xYz'")
        agree(pia)
        pia.evaluate("location.hash = '#den'")
        expect(pia.locator("#title")).to_have_text("den")
        expect(pia.locator("#rooms .name")).to_have_text(["lobby", "den"])


def test_who_is_ignored_is_not_shown_whatever_they_say(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with (
        Program(site.address, "Troll", "lobby") as troll,
        Program(site.address, "ada", "lobby", "den") as ada,
    ):
        pia = people.comes(site, "pia")
        note = pia.locator("#log .row.note .text").last
        say(pia, "/ignore")
        expect(note).to_have_text("you ignore nobody")
        say(pia, "/ignore troll")
        expect(note).to_have_text("troll is ignored until you /unignore troll")
        troll.say("lobby", "pia: look at me")
        troll.ask(type="tell", nick="pia", text="and here")
        troll.wait(type="sent", nick=None, id="pia: look at me-0")
        troll.heard()
        ada.say("lobby", "tea?")
        shows(pia, "tea?")
        pia.reload()
        shows(pia, "tea?")
        troll.say("lobby", "still here")
        troll.wait(type="sent", id="still here-0")
        ada.say("lobby", "and cake?")
        shows(pia, "and cake?")
        assert texts(pia) == ["tea?", "and cake?"]
        expect(pia.locator("#directs li")).to_have_count(0)
        expect(pia).to_have_title("lobby – tcpchat")
        say(pia, "/join den")
        expect(pia.locator("#title")).to_have_text("den")
        say(pia, "/out lobby")
        expect(pia.locator("#rooms .name")).to_have_text(["den"])
        say(pia, "/join lobby")
        shows(pia, "and cake?")
        assert texts(pia) == ["tea?", "and cake?"]
        pia.fill("#text", "/unignore t")
        pia.press("#text", "Tab")
        expect(pia.locator("#text")).to_have_value("/unignore troll")
        pia.press("#text", "Enter")
        expect(note).to_have_text("troll is shown again")
        troll.say("lobby", "thank you")
        shows(pia, "thank you")
        say(pia, "/unignore troll")
        expect(note).to_have_text("troll was not ignored")
        say(pia, "/help ignore")
        expect(note).to_have_text("for example: /ignore troll")


def test_links_in_topics_can_be_followed_and_nothing_else(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        topic = "plan: https://a.example/tea. javascript:alert(1)"
        ada.ask(type="topic", room="lobby", topic=topic)
        for link in (pia.locator("#topic a"), pia.locator("#log .row.note a")):
            expect(link).to_have_attribute("href", "https://a.example/tea")
            expect(link).to_have_attribute("rel", "noopener noreferrer")
        expect(pia.locator("#topic")).to_have_text(topic)


def test_a_long_message_of_the_day_leaves_the_entrance_in_view(
    serve: Serve, people: People, tmp_path: Path
) -> None:
    motd = tmp_path / "motd.txt"
    motd.write_text("\n".join(f"line {number} of the message of the day" for number in range(40)))
    pia = people.opens(serve("--in-memory", "--motd", str(motd)).url, **NARROW)
    told = pia.locator("#motd")
    expect(told).to_contain_text("line 39")
    expect(pia.locator("#enter > .primary")).to_be_in_viewport(ratio=1)
    told.evaluate("each => each.onscroll = () => each.dataset.is = 'scrolled'")
    told.press("End")
    expect(told).to_have_attribute("data-is", "scrolled")


def test_a_refused_nickname_is_told_and_may_be_changed(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby"):
        pia = people.opens(site.url)
        pia.wait_for_selector("#entrance:not([hidden])")
        expect(pia.locator("#offered-rooms .name")).to_have_text(["lobby"])
        pia.fill("#nick", "Ada")
        pia.press("#nick", "Enter")
        expect(pia.locator("#enter-error")).to_have_text("the nickname ada is taken")
        pia.fill("#nick", "pia")
        pia.locator("#offered-rooms button").click()
        expect(pia.locator("#title")).to_have_text("lobby")


def test_a_line_stands_where_a_day_begins(serve: Serve, people: People) -> None:
    def a_day_earlier(notice: dict[str, Any]) -> dict[str, Any]:
        if "yesterday" in notice.get("text", ""):
            notice["at"] -= 86_400_000
        return notice

    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        change_what_comes(people, a_day_earlier)
        pia.reload()
        expect(pia.locator("#title")).to_have_text("lobby")
        ada.say("lobby", "yesterday", "yesterday, later", "today", "today, later")
        shows(pia, "today, later")
        begins = pia.locator(".rule.day + .row.said .text")
        expect(begins).to_have_text(["yesterday", "today"])
        yesterday, today = pia.locator(".rule.day").all_text_contents()[-2:]
        assert re.fullmatch(r"[A-Z][a-z]+, [A-Z][a-z]+ \d+, \d{4}", today)
        assert yesterday != today


def test_a_page_that_gets_no_frames_shows_what_comes(serve: Serve, people: People) -> None:
    # As when its window is behind others, or when what draws for the browser hangs.
    site = serve("--in-memory")
    pia = people.comes(site, "pia", script="window.requestAnimationFrame = () => 0;")
    with Program(site.address, "ada", "lobby") as ada:
        ada.say("lobby", "hello", "and once more")
        shows(pia, "and once more")


def test_many_who_come_and_go_are_told_in_one_row(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    pia = people.comes(site, "pia")
    folded = pia.locator(".row.presence .text")
    for number in range(6):
        with Program(site.address, f"bob{number}", "lobby") as bob:
            bob.ask(type="quit")
            bob.wait(type="closing")
    expect(folded).to_have_text(
        "6 joined (bob0, bob1, bob2 and 3 more), 6 gone (bob0, bob1, bob2 and 3 more)"
    )


# ── Typing ───────────────────────────────────────────────────────────────────────────────────


def test_tab_completes_and_up_recalls(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "adaline", "lobby"), Program(site.address, "adam", "lobby") as adam:
        pia = people.comes(site, "pia")
        adam.say("lobby", "me first")
        shows(pia, "me first")
        box = pia.locator("#text")
        box.press_sequentially("ad")
        box.press("Tab")
        expect(box).to_have_value("adam: ")
        box.press("Tab")
        expect(box).to_have_value("adaline: ")
        box.press("Shift+Tab")
        expect(box).to_have_value("adam: ")
        box.fill("/mg")
        box.press("End")
        box.press("Enter")
        expect(pia.locator("#status")).to_have_text("there is no command /mg; did you mean /msg?")
        expect(box).to_have_value("/mg")
        say(pia, "one")
        say(pia, "two")
        box.press("ArrowUp")
        box.press("ArrowUp")
        expect(box).to_have_value("one")
        box.press("ArrowDown")
        box.press("ArrowDown")
        expect(box).to_have_value("")
        box.press("Tab")  # with nothing to complete it goes on to the next control
        expect(box).not_to_be_focused()


def test_a_pasted_wall_is_asked_about_once_and_said_line_by_line(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        paste(pia, "\n".join(f"line {number}" for number in range(30)))
        expect(pia.locator("#wall-text")).to_have_text("Say these 30 lines to lobby?")
        assert ada.heard(type="said") == []
        pia.keyboard.press("Enter")
        ada.wait(type="said", text="line 29")
        assert [said["text"] for said in ada.heard(type="said")] == [
            f"line {number}" for number in range(30)
        ]
        expect(pia.locator("#wall")).to_be_hidden()


def test_a_pasted_wall_waits_for_each_receipt_and_can_be_stopped(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.opens(site.url, script=remembering("pia", "lobby", "lobby"))
        expect(pia.locator("#title")).to_have_text("lobby")
        change_what_comes(people, lambda notice: None if notice["type"] == "sent" else notice)
        pia.reload()
        expect(pia.locator("#title")).to_have_text("lobby")  # it is in, and takes what is pasted
        paste(pia, "\n".join(f"line {number}" for number in range(30)))
        pia.locator("#wall-yes").click()
        while not ada.heard(type="said", text="line 0"):
            pia.wait_for_timeout(20)  # what is changed on its way comes on only meanwhile
        expect(pia.locator("#status")).to_have_text("Sending 1 of 30 lines …")
        expect(pia.locator("#text")).to_be_focused()
        pia.locator("#wall-no").click()
        expect(pia.locator("#status")).to_have_text("Stopped; 1 of 30 lines were sent.")
        assert [said["text"] for said in ada.heard(type="said")] == ["line 0"]


def test_what_is_too_long_stays_in_the_prompt(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    pia = people.comes(site, "pia")
    say(pia, "x" * 2_417)
    expect(pia.locator("#status")).to_have_text(
        "a message has at most 2,000 characters; this one has 2,417"
    )
    expect(pia.locator("#text")).to_have_value("x" * 2_417)


def test_what_is_typed_in_an_input_method_is_not_said_by_its_enter(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    pia = people.comes(site, "pia")
    pia.fill("#text", "안녕")
    pia.locator("#text").dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    expect(pia.locator("#text")).to_have_value("안녕")
    pia.press("#text", "Enter")
    shows(pia, "안녕")


# ── What the server forgets, and what one searches ───────────────────────────────────────────


# Scroll to the upper end of what is there, and tell what is shown then.
SCROLL_UP = f"""async () => {{
    document.getElementById("scroller").scrollTop = 0;
    await {TWO_FRAMES};
    return [...document.querySelectorAll("#log .row.said .text")].map(each => each.textContent);
}}"""


def read_back(page: Page, first: int) -> set[int]:
    """Scroll up, frame by frame, to the first message; the numbers of all that were shown.

    At no time is one missing between two that stand there, or there twice.
    """
    seen: set[int] = set()
    while first not in seen:
        numbers = [int(text.split()[1]) for text in page.evaluate(SCROLL_UP)]
        assert numbers == [*range(numbers[0], numbers[-1] + 1)]
        seen |= {*numbers}
    return seen


def test_five_thousand_messages_are_read_back_to_the_first(
    serve: Serve, people: People, tmp_path: Path
) -> None:
    site = serve("--data", str(tmp_path / "data"), "--durability", "os")
    with Program(site.address, "ada", "lobby") as ada:
        ada.say("lobby", *(f"message {number}" for number in range(5_000)))
        ada.wait(type="sent", id="message 4999-4999")
        pia = people.comes(site, "pia")
        shows(pia, "message 4999")
        pia.evaluate(WATCH)
        assert read_back(pia, 0) == {*range(5_000)}
        assert pia.evaluate("window.seen.rows") <= 500
        ada.say("lobby", "and one more")
        expect(pia.locator("#latest")).to_be_visible()
        pia.press("#text", "Escape")
        shows(pia, "and one more")
        assert texts(pia)[-2:] == ["message 4999", "and one more"]


def test_ten_thousand_messages_do_not_disturb_who_types_and_are_all_there(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        pia.evaluate(WATCH)
        ada.say("lobby", *(f"message {number}" for number in range(10_000)))
        typed = "typed while ten thousand messages came"
        pia.locator("#text").press_sequentially(typed)
        shows(pia, "message 9999")
        shown = texts(pia)
        assert shown == [f"message {number}" for number in range(10_000)][-len(shown) :]
        expect(pia.locator("#text")).to_have_value(typed)
        expect(pia.locator("#text")).to_be_focused()
        expect(pia.locator("#latest")).to_be_hidden()
        assert pia.evaluate("window.seen.rows") <= 200
        assert read_back(pia, 0) == {*range(10_000)}
        assert pia.evaluate("window.seen.rows") <= 500
        expect(pia.locator("#text")).to_have_value(typed)


def test_what_was_said_is_found_and_shown_where_it_was(
    serve: Serve, people: People, tmp_path: Path
) -> None:
    site = serve("--data", str(tmp_path / "data"), "--durability", "os")
    with Program(site.address, "ada", "lobby") as ada:
        ada.say("lobby", "the needle", *(f"hay {number}" for number in range(700)))
        ada.wait(type="sent", id="hay 699-700")
        pia = people.comes(site, "pia")
        say(pia, "/search needle from ada")
        expect(pia.locator("#search-status")).to_have_text("1 found, newest first.")
        pia.locator("#found button").click()
        shows(pia, "the needle")


def test_who_keeps_no_archive_says_so(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    pia = people.comes(site, "pia")
    expect(pia.locator("#show-search")).to_be_hidden()
    say(pia, "/search tea")
    expect(pia.locator("#search-status")).to_have_text(
        "this server keeps no archive that could be searched"
    )


# ── Connections that break ───────────────────────────────────────────────────────────────────


def test_a_cut_costs_one_line_and_neither_loses_nor_doubles_anything(
    serve: Serve, people: People, cable: Callable[[Site], tuple[Plug, Site]]
) -> None:
    plug, site = cable(serve("--in-memory"))
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        say(pia, "before")
        shows(pia, "before")
        expect(pia.locator("#log")).to_have_attribute("aria-live", "polite")
        pia.evaluate(READ_OUT)
        plug.pull()
        expect(pia.locator("#status")).to_have_text(
            "The connection is lost. Reconnecting; what you type is kept."
        )
        ada.say("lobby", "meanwhile")
        ada.wait(type="sent", id="meanwhile-0")  # before what pia will say
        say(pia, "said without a connection")
        expect(pia.locator("#pending .text")).to_have_text("said without a connection")
        plug.put_back()
        shows(pia, "said without a connection")
        no_pending(pia)
        expect(pia.locator("#status")).to_have_text("")
        assert texts(pia) == ["before", "meanwhile", "said without a connection"]
        assert len(ada.heard(type="said")) == 2
        assert ada.heard(type="gone") == ada.heard(type="left") == []
        expect(pia.locator("#log")).to_have_attribute("aria-live", "polite")
        ada.say("lobby", "afterwards")
        shows(pia, "afterwards")
        # What came late is there to be read, and not read out as if it were said now.
        assert pia.evaluate("window.readOut") == ["afterwards"]


def test_a_server_that_is_killed_and_started_again_is_a_pause(
    serve: Serve, people: People, cable: Callable[[Site], tuple[Plug, Site]], tmp_path: Path
) -> None:
    flags = ("--data", str(tmp_path / "data"))
    first = serve(*flags)
    plug, site = cable(first)
    pia = people.comes(site, "pia")
    leo = people.comes(site, "leo", **NARROW)
    say(pia, "before")
    shows(leo, "before")
    first.server.process.kill()
    first.server.process.wait()
    say(pia, "while it was away")
    second = serve(*flags)
    plug.lead_to(second.url.removeprefix("http://").rstrip("/"))
    shows(leo, "while it was away")
    shows(pia, "while it was away")
    assert texts(pia) == texts(leo) == ["before", "while it was away"]


def test_what_the_server_has_forgotten_is_shown_as_a_gap(
    serve: Serve, people: People, cable: Callable[[Site], tuple[Plug, Site]]
) -> None:
    plug, site = cable(serve("--in-memory", "--history", "3"))
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        ada.say("lobby", "zero")
        shows(pia, "zero")
        plug.pull()
        ada.say("lobby", *"abcde")
        ada.wait(type="sent", id="e-4")
        plug.put_back()
        shows(pia, "e")
        assert texts(pia) == ["zero", "c", "d", "e"]
        expect(pia.locator(".rule.gap")).to_have_text("some of what was said here is lost")


# What a browser has for a page that comes over https, and for one that does not.
BY_HTTPS = pytest.mark.parametrize(
    "script",
    ["", "Object.defineProperty(navigator, 'locks', {value: undefined})"],
    ids=["with locks", "without"],
)


@BY_HTTPS
def test_a_reload_is_the_same_person(serve: Serve, people: People, script: str) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia", script=script)
        say(pia, "one")
        ada.wait(type="said", text="one")
        ada.ask(type="tell", nick="pia", text="psst")
        expect(pia.locator("#directs .count")).to_have_text("1 unread, 1 for you")
        pia.locator("#text").press_sequentially("half a thought")
        pia.reload()
        shows(pia, "one")
        expect(pia.locator("#text")).to_have_value("half a thought")
        say(pia, "two")
        shows(pia, "two")
        assert texts(pia) == ["one", "two"]
        pia.locator("#directs button.direct").click()
        shows(pia, "psst")
        assert [each["nick"] for each in ada.heard(type="said")] == ["pia", "pia"]
        assert ada.heard(type="gone") == []


def test_a_reload_in_the_background_has_its_messages_when_it_is_looked_at(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    pia = people.comes(site, "pia")
    say(pia, "said before")
    shows(pia, "said before")
    pia.add_init_script("""
        window.isAway = true;
        Object.defineProperty(document, "hidden", {get: () => window.isAway});
        window.heard = "";
        window.WebSocket = class extends WebSocket {
            constructor(...how) {
                super(...how);
                this.addEventListener("message", ({data}) => { window.heard += data; });
            }
        };
    """)
    pia.reload()
    while not pia.evaluate("""window.heard.includes('"type":"history"')"""):
        pia.wait_for_timeout(20)  # (to wait in the page, its policy forbids)
    pia.evaluate("""() => {
        window.isAway = false;
        document.dispatchEvent(new Event("visibilitychange"));
    }""")
    shows(pia, "said before")


@pytest.mark.parametrize("lost", ['"type":"say"', '"type":"sent"'])
def test_what_waits_for_its_receipt_outlives_a_reload_and_is_said_once(
    serve: Serve, people: People, lost: str
) -> None:
    is_swallowing = True

    def pass_on(side: WebSocketRoute, text: str | bytes) -> None:
        if not (is_swallowing and lost in str(text)):
            side.send(text)

    def swallow(page: WebSocketRoute) -> None:
        server = page.connect_to_server()
        page.on_message(lambda text: pass_on(server, text))
        server.on_message(lambda text: pass_on(page, text))

    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        people.contexts[-1].route_web_socket("**/ws", swallow)
        pia.reload()
        say(pia, "only once")
        expect(pia.locator("#pending .text")).to_have_text("only once")
        is_swallowing = False
        pia.reload()
        shows(pia, "only once")
        no_pending(pia)
        assert texts(pia) == ["only once"]
        ada.wait(type="said", text="only once")
        assert len(ada.heard(type="said")) == 1


@BY_HTTPS
def test_a_duplicated_tab_is_its_own_person(serve: Serve, people: People, script: str) -> None:
    site = serve("--in-memory")
    pia = people.comes(site, "pia", script=script)
    with pia.expect_popup() as opened:
        pia.evaluate("window.open(location.href)")  # with a copy of its sessionStorage
    other = opened.value
    other.wait_for_selector("#entrance:not([hidden])")
    other.fill("#nick", "pia-2")
    other.press("#nick", "Enter")
    expect(other.locator("#people-title")).to_have_text("2 here")
    say(pia, "here I am")
    shows(other, "here I am")


def test_what_the_browser_keeps_is_what_docs_say(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        ada.say("lobby", "said in a room")
        ada.ask(type="tell", nick="pia", text="said to one alone")
        say(pia, "/ignore troll")
        say(pia, "typed")
        shows(pia, "typed")
        expect(pia.locator("#directs li")).to_have_count(1)
        pia.evaluate("dispatchEvent(new Event('pagehide'))")
        kept = pia.evaluate("[Object.entries(localStorage), Object.entries(sessionStorage)]")
        ours, tabs = ({key.removeprefix("tcpchat."): text for key, text in each} for each in kept)
        assert ours == {"nick": '"pia"', "room": '"lobby"', "rooms": '["lobby"]'}
        assert tabs.keys() == {"session", "directs", "typed", "ignored"}
        assert "said to one alone" in tabs["directs"]
        assert "said in a room" not in "".join(tabs.values())
        assert pia.evaluate("document.cookie") == ""


def test_a_closed_tab_says_goodbye(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        pia.close()
        ada.wait(type="gone", nick="pia")


def test_who_leaves_is_gone_and_can_come_back(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        ada.ask(type="tell", nick="pia", text="psst")
        expect(pia.locator("#directs li")).to_have_count(1)
        say(pia, "/ignore troll")
        say(pia, "/quit tea time")
        ada.wait(type="gone", nick="pia", reason="tea time")
        pia.evaluate("dispatchEvent(new Event('pagehide'))")
        assert pia.evaluate("Object.keys(sessionStorage)") == []
        pia.locator("#status button").click()
        pia.wait_for_selector("#entrance:not([hidden])")
        expect(pia.locator("#nick")).to_have_value("pia")
        expect(pia.locator("#room")).to_have_value("lobby")


def test_a_server_with_a_password_asks_for_it(serve: Serve, people: People, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("open sesame\n")
    site = serve("--in-memory", "--password-file", str(tmp_path / "password"))
    pia = people.opens(site.url)
    expect(pia.locator("#password")).to_be_visible()
    pia.fill("#password", "wrong")
    pia.press("#password", "Enter")
    expect(pia.locator("#enter-error")).to_have_text("that is not this server's password")
    pia.fill("#password", "open sesame")
    pia.press("#password", "Enter")
    expect(pia.locator("#password")).to_be_hidden()
    pia.fill("#nick", "pia")
    pia.press("#nick", "Enter")
    expect(pia.locator("#title")).to_have_text("lobby")
    # Who says all at once is asked once.
    leo = people.opens(f"{site.url}#den")
    expect(leo.locator("#password")).to_be_focused()
    expect(leo.locator("#room")).to_have_value("den")
    leo.fill("#password", "open sesame")
    leo.fill("#nick", "leo")
    leo.press("#nick", "Enter")
    expect(leo.locator("#title")).to_have_text("den")
    expect(leo.locator("#me")).to_have_text("leo")


def test_a_full_server_is_waited_for(serve: Serve, people: People) -> None:
    site = serve("--in-memory", "--max-clients", "1")
    with Program(site.address, "ada", "lobby"):
        pia = people.opens(site.url)
        expect(pia.locator("#enter-status")).to_have_text(
            "Connecting … (the server is full; try again later)"
        )
    expect(pia.locator("#enter-status")).to_have_text("")
    pia.fill("#nick", "pia")
    pia.press("#nick", "Enter")
    expect(pia.locator("#title")).to_have_text("lobby")


# ── What others may not do to one ────────────────────────────────────────────────────────────


def test_nothing_that_is_said_is_more_than_text(serve: Serve, people: People) -> None:
    evil = [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "javascript:alert(1)",
        'https://a.example/"onmouseover=alert(1)//',
        "data:text/html,<script>alert(1)</script>",
        "&lt;b&gt; http://",
    ]
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        ada.ask(type="topic", room="lobby", topic=evil[0])
        ada.say("lobby", *evil)
        shows(pia, evil[-1])
        assert texts(pia) == evil
        expect(pia.locator("#topic")).to_have_text(evil[0])
        assert pia.locator("#log script, #log img, #log b").count() == 0
        links = pia.locator("#log a")
        assert [link.get_attribute("href") for link in links.all()] == ["https://a.example/"]
        assert links.get_attribute("rel") == "noopener noreferrer"


@pytest.mark.parametrize("name", ["__proto__", "constructor", "toString"])
def test_names_that_trip_programs_are_names(serve: Serve, people: People, name: str) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", name) as ada:
        pia = people.comes(site, name, name)
        say(pia, "hello")
        assert ada.wait(type="said", text="hello")["nick"] == name
        ada.ask(type="tell", nick=name, text="psst")
        expect(pia.locator("#directs .count")).to_have_text("1 unread, 1 for you")
        pia.reload()
        shows(pia, "hello")
        say(pia, "again")
        shows(pia, "again")
        assert texts(pia) == ["hello", "again"]


def test_half_a_character_is_said_as_a_sign_for_it(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        pia.evaluate("document.getElementById('text').value = 'tea \\ud83d?'")
        pia.press("#text", "Enter")
        ada.wait(type="said", text="tea \ufffd?")
        shows(pia, "tea \ufffd?")
        no_pending(pia)


# ── How it looks, and to whom ────────────────────────────────────────────────────────────────


def test_who_listens_hears_what_there_is(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        ada.say("lobby", "before you came")
        ada.wait(type="sent")
        script = f"addEventListener('DOMContentLoaded', {READ_OUT})"
        pia = people.comes(site, "pia", script=script)
        shows(pia, "before you came")
        expect(pia.locator("#log")).to_have_attribute("aria-live", "polite")
        assert pia.evaluate("window.readOut") == []
        expect(pia.locator("body")).to_match_aria_snapshot(
            """
            - navigation "Conversations":
              - heading "Rooms" [level=2]
              - list:
                - listitem:
                  - button "lobby"
                  - button "Leave lobby"
              - button "＋ Join a room"
              - text: You are pia
              - button "Leave"
            - main:
              - heading "lobby" [level=1]
              - paragraph
              - region "Messages":
                - log "Messages in lobby": /.*before you came.*/
                - group "Not yet received by the server"
              - status
              - textbox "Message to lobby"
              - button "Send"
            - complementary "People":
              - heading "2 here" [level=2]
              - list:
                - listitem:
                  - button "ada"
                - listitem: pia you
            """
        )


def test_the_entrance_has_names_and_says_what_is_wrong(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby"):
        pia = people.opens(site.url)
        expect(pia.locator("#offered-rooms li")).to_have_count(1)
        pia.fill("#nick", "ada")
        pia.press("#nick", "Enter")
        expect(pia.locator("#enter-error")).to_have_text("the nickname ada is taken")
        expect(pia.locator("body")).to_match_aria_snapshot(
            """
            - main:
              - heading "tcpchat" [level=1]
              - text: Nickname
              - textbox "Nickname":
                - /placeholder: /guest-\\d+/
                - text: ada
              - text: Room
              - textbox "Room": lobby
              - alert: the nickname ada is taken
              - button "Come in"
              - status
              - heading "Rooms there are" [level=2]
              - list:
                - listitem:
                  - button "lobby 1 person"
            """
        )
        expect(pia.locator("#nick")).to_be_focused()


def test_all_of_it_can_be_reached_by_keys_alone(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia", **NARROW)
        ada.ask(type="tell", nick="pia", text="psst")
        expect(pia.locator("#elsewhere")).to_have_text("1")
        pia.keyboard.press("Shift+Tab")  # from where one types to the messages …
        expect(pia.locator("#scroller")).to_be_focused()
        pia.keyboard.press("Shift+Tab")  # … and on to who is here
        expect(pia.locator("#show-people")).to_be_focused()
        pia.keyboard.press("Enter")
        expect(pia.locator("#members button")).to_be_focused()
        pia.keyboard.press("Escape")
        expect(pia.locator("#people")).to_be_hidden()
        expect(pia.locator("#text")).to_be_focused()
        pia.locator("#show-side").focus()
        pia.keyboard.press("Enter")
        expect(pia.locator("#rooms button.room")).to_be_focused()
        pia.keyboard.press("Tab")  # what closes it
        pia.keyboard.press("Tab")  # to join another
        pia.keyboard.press("Tab")
        expect(pia.locator("#directs button.direct")).to_be_focused()
        pia.keyboard.press("Enter")
        shows(pia, "psst")
        pia.keyboard.press("Alt+1")
        expect(pia.locator("#title")).to_have_text("lobby")
        pia.keyboard.type("hello")
        pia.keyboard.press("Enter")
        shows(pia, "hello")


@pytest.mark.parametrize("width", [320, 390])
def test_fingers_find_what_they_mean(serve: Serve, people: People, width: int) -> None:
    """What can be touched is at least 40 pixels wide and high, but for links in a text."""
    site = serve("--in-memory")
    small = """() => [...document.querySelectorAll("button, input, textarea, summary")]
        .filter(each => each.checkVisibility({visibilityProperty: true}))
        .map(each => [each.id || each.className || each.textContent, each.getBoundingClientRect()])
        .filter(([, box]) => box.width < 40 || box.height < 40)
        .map(([name, box]) => `${name}: ${box.width} × ${box.height}`)"""
    with Program(site.address, "ada", "lobby") as ada:
        viewport = {"width": width, "height": 700}
        pia = people.opens(site.url, viewport=viewport, has_touch=True, is_mobile=True)
        expect(pia.locator("#offered-rooms li")).to_have_count(1)
        assert pia.evaluate(small) == []
        pia.fill("#nick", "pia")
        pia.locator("#enter > .primary").tap()
        ada.wait(type="joined", nick="pia")
        ada.ask(type="tell", nick="pia", text="psst")
        for number in range(60):
            ada.say("lobby", f"message {number}")
        shows(pia, "message 59")
        pia.locator("#scroller").evaluate("each => each.scrollTop = 0")
        expect(pia.locator("#latest")).to_be_visible()
        assert pia.evaluate(small) == []
        pia.locator("#show-side").tap()
        expect(pia.locator("#directs li")).to_be_visible()
        assert pia.evaluate(small) == []
        pia.locator("#more-rooms").tap()
        expect(pia.locator("#room-list li")).to_have_count(1)
        assert pia.evaluate(small) == []
        pia.locator("#room-dialog .close button").tap()
        pia.locator("#latest").tap()
        pia.locator("#show-people").tap()
        expect(pia.locator("#members li").first).to_be_visible()
        assert pia.evaluate(small) == []


def test_who_is_at_the_end_stays_there_when_what_is_typed_grows(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia", **NARROW)
        ada.say("lobby", *(f"message {number}" for number in range(60)))
        shows(pia, "message 59")
        for text in ("long " * 100, "long " * 101, "short", "long " * 50, ""):
            pia.fill("#text", text)
            pia.evaluate(TWO_FRAMES)
            expect(pia.locator("#latest")).to_be_hidden()
            expect(pia.locator(".row.said").last).to_be_in_viewport()
        for height in (400, 780, 300):  # as when a phone's keyboard comes up
            pia.set_viewport_size({"width": 390, "height": height})
            pia.evaluate(TWO_FRAMES)
            expect(pia.locator("#latest")).to_be_hidden()
            expect(pia.locator(".row.said").last).to_be_in_viewport()


# The last is what 200 % leaves of 1,200 × 800.
@pytest.mark.parametrize(
    ("width", "height"),
    [(320, 600), (390, 600), (640, 600), (768, 600), (1_200, 600), (2_560, 1_300), (600, 400)],
)
def test_nothing_sticks_out(serve: Serve, people: People, width: int, height: int) -> None:
    site = serve("--in-memory", "--max-per-ip", "200")
    with Program(site.address, "a" * 24, "r" * 32) as ada:
        ada.say("r" * 32, "word" * 400, "https://example.org/" + "path" * 200, "مرحبا " * 50)
        ada.ask(type="topic", room="r" * 32, topic="topic" * 60)
        viewport = {"width": width, "height": height}
        pia = people.comes(site, "b" * 24, "r" * 32, viewport=viewport)
        say(pia, "long" * 300)
        shows(pia, "long" * 300)
        assert pia.evaluate("document.scrollingElement.scrollWidth") <= width
        assert pia.evaluate("document.getElementById('scroller').scrollLeft") == 0
        for selector in ("#text", "#send", "#title"):
            box = pia.locator(selector).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["y"] + box["height"] <= height


def test_who_wants_no_motion_sees_none(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    pia = people.comes(site, "pia", reduced_motion="reduce", **NARROW)
    pia.evaluate("""() => {
        window.moved = 0;
        for (const kind of ["transitionrun", "animationstart"])
            addEventListener(kind, () => { window.moved += 1; }, true);
    }""")
    pia.locator("#show-side").click()
    expect(pia.locator("#rooms button.room")).to_be_focused()
    pia.keyboard.press("Escape")
    expect(pia.locator("#side")).to_be_hidden()
    pia.evaluate(TWO_FRAMES)
    assert pia.evaluate("window.moved") == 0


def test_all_of_it_is_small() -> None:
    files = [path for path in PAGE.iterdir() if path.is_file()]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) <= 60 * 1024


def test_what_moderators_do_is_told_and_what_was_taken_back_is_shown_no_more(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby", "den") as ada:
        pia = people.comes(site, "pia", "den")
        say(pia, "/join lobby")
        expect(pia.locator("#title")).to_have_text("lobby")
        ada.say("lobby", "secret", "tea?")
        shows(pia, "tea?")
        say(pia, "oops")
        no_pending(pia)
        say(pia, "/redact")
        expect(pia.locator(".row.redacted .text")).to_have_text("(taken back)")
        notes(pia, "pia took back something")
        ada.ask(type="restrict", room="lobby", nick="pia", what="mute", ms=600_000, reason="noise")
        notes(pia, "you are muted in lobby for 10 min, by ada (noise)")
        say(pia, "hello?")
        notes(pia, "not said: hello? (you are muted in lobby for another 10 min)")
        ada.ask(type="mode", room="lobby", slow_ms=5_000)
        notes(pia, "lobby is slow (one line in 5 s) now, says ada")
        ada.ask(type="kick", room="lobby", nick="pia", reason="noise")
        expect(pia.locator("#title")).to_have_text("den")
        notes(pia, "you were put out of lobby by ada (noise)")


def test_an_answer_shows_what_it_answers_and_leads_to_it(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "bob", "lobby") as bob:
        pia = people.comes(site, "pia")
        bob.say("lobby", "tea at four?", "or coffee?")
        shows(pia, "or coffee?")
        say(pia, "/reply 2 <b>tea</b>")
        no_pending(pia)
        mine = pia.locator(".row.own")
        expect(mine.locator(".quote")).to_have_text("to bob: tea at four?")
        expect(mine.locator(".text")).to_have_text("to bob: tea at four?<b>tea</b>")
        say(pia, "/reply 3 no")
        expect(pia.locator("#status")).to_have_text("there is no such message here to answer")
        answer = bob.wait(type="said", text="<b>tea</b>")
        assert answer["quote"] == {"nick": "bob", "text": "tea at four?"}
        bob.ask(type="say", room="lobby", text="at four then", re=answer["seq"])
        quotes = pia.locator("button.quote")
        expect(quotes.last).to_have_text("to pia: <b>tea</b>")
        quotes.last.click()
        expect(pia.locator(".row.found")).to_contain_text("tea at four?<b>tea</b>")
        bob.ask(type="redact", room="lobby", seq=answer["re"])
        expect(quotes.first).to_have_text("to an earlier message")
        pia.reload()
        expect(quotes).to_have_text(["to an earlier message", "to pia: <b>tea</b>"])


def test_who_moderates_a_room_is_marked_among_its_people(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada, Program(site.address, "bob", "lobby") as bob:
        pia = people.comes(site, "pia")
        members = pia.locator("#members li")
        expect(members).to_have_text(["ada moderator", "bob", "pia you"])
        ada.ask(type="role", room="lobby", nick="pia", role="moderator")
        expect(members).to_have_text(["ada moderator", "bob", "pia you, moderator"])
        ada.ask(type="nick", nick="zoe")
        expect(members).to_have_text(["bob", "pia you, moderator", "zoe moderator"])
        say(pia, "/unmod zoe")
        expect(members).to_have_text(["bob", "pia you, moderator", "zoe"])
        say(pia, "/mod bob")
        expect(members).to_have_text(["bob moderator", "pia you, moderator", "zoe"])
        bob.ask(type="out", room="lobby")
        expect(members).to_have_text(["pia you, moderator", "zoe"])
        bob.ask(type="join", room="lobby")
        expect(members).to_have_text(["bob", "pia you, moderator", "zoe"])
        pia.reload()
        expect(members).to_have_text(["bob", "pia you, moderator", "zoe"])
