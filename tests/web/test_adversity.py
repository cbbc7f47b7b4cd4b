"""The page where much goes wrong at once: what would be lost, doubled or too much, if it did."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.cli.cable import Plug
from tests.web.conftest import People, Program, Site
from tests.web.smoothness import READ_BACK
from tests.web.test_page import Serve, no_pending, paste, say, shows, texts

Cabled = Callable[[Site], tuple[Plug, Site]]

# ── What a tab keeps ─────────────────────────────────────────────────────────────────────────


# From `window.isFull` on, sessionStorage refuses what is longer than `window.most` characters.
FULL = """
    const set = Storage.prototype.setItem;
    window.isFull = false;
    window.most = 0;
    Storage.prototype.setItem = function (name, value) {
        if (this === sessionStorage && window.isFull) {
            const others = Object.keys(this).filter(each => each !== name);
            const all = others.reduce((sum, each) => sum + this.getItem(each).length, value.length);
            if (all > window.most) throw new DOMException("full", "QuotaExceededError");
        }
        return set.call(this, name, value);
    };
"""


def test_a_tab_whose_storage_is_full_says_nothing_under_a_number_it_has_given_before(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia", script=FULL)
        say(pia, "before it is full")
        shows(pia, "before it is full")
        pia.evaluate("window.isFull = true")
        say(pia, "kept nowhere")
        shows(pia, "kept nowhere")
        pia.evaluate("localStorage.removeItem('tcpchat.rooms')")  # so that one is asked who comes
        pia.reload()
        pia.fill("#nick", "pia-2")  # for some seconds more pia may be there
        pia.press("#nick", "Enter")
        say(pia, "said anew")
        shows(pia, "said anew")
        no_pending(pia)
        ada.wait(type="said", text="said anew")


def test_the_session_has_room_before_what_was_said_to_one_alone(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia", script=FULL)
        ada.ask(type="tell", nick="pia", text="long " * 400)
        expect(pia.locator("#directs .count")).to_have_text("1 unread, 1 for you")
        pia.evaluate("[window.most, window.isFull] = [2_000, true]")
        say(pia, "here")
        shows(pia, "here")
        pia.reload()
        say(pia, "still here")
        shows(pia, "still here")
        ada.wait(type="said", nick="pia", text="still here")
        assert ada.heard(type="gone") == []


def test_a_page_that_back_brings_as_it_was_is_loaded_anew(serve: Serve, people: People) -> None:
    # Another page of this tab may have gone on with the session since. (With its developer tools
    # in use, as here, a browser keeps no page for Back; so it is told that it did.)
    pia = people.comes(serve("--in-memory"), "pia")
    pia.evaluate("window.isOld = true")
    with pia.expect_navigation():
        pia.evaluate("""() => {
            dispatchEvent(new PageTransitionEvent("pageshow", {persisted: true}));
        }""")
    pia.wait_for_selector("#app:not([hidden])")
    assert pia.evaluate("window.isOld") is None


# ── Too much of something ────────────────────────────────────────────────────────────────────


def test_a_storm_of_comings_and_goings_is_counted_and_not_kept(
    serve: Serve, people: People
) -> None:
    pia = people.comes(serve("--in-memory"), "pia")
    row, size = pia.evaluate("""async () => {
        const {Conversation, Log, element} = await import("./view.js");
        const lobby = new Conversation("room", "lobby");
        for (let n = 0; n < 1_000; n++) {
            lobby.addChange({what: "joined", nick: `guest-${n}`}, n);
            lobby.addChange({what: "renamed", nick: `guest-${n}`, to: `bob-${n}`}, n);
        }
        const [scroller, list, pending, latest] = Array.from({length: 4}, () => element("div"));
        new Log(scroller, list, pending, latest, {older() {}}).show(lobby);
        const plain = (_, each) => each instanceof Map ? [...each] : each;
        const {length} = JSON.stringify(lobby.items, plain);
        return [list.querySelector(".presence .text").textContent, length];
    }""")
    assert row == (
        "1000 joined (guest-0, guest-1, guest-2 and 997 more), "
        "1000 renamed (bob-0, bob-1, bob-2 and 997 more)"
    )
    assert size < 1_000


def test_who_reads_further_up_than_what_is_kept_goes_on_with_what_is(
    serve: Serve, people: People
) -> None:
    pia = people.comes(serve("--in-memory"), "pia")
    shown = pia.evaluate("""async () => {
        const {Conversation, Log, element} = await import("./view.js");
        const lobby = new Conversation("room", "lobby");
        const say = (from, to) => {
            for (let n = from; n < to; n++)
                lobby.add({kind: "said", seq: n, at: n, nick: "ada", text: String(n)});
        };
        const list = element("div");
        const scroller = element("div", "", list);
        scroller.style.cssText = "position: fixed; inset: 0; overflow: auto";
        document.body.append(scroller);
        const log = new Log(scroller, list, element("div"), element("div"), {older() {}});
        const frame = () => new Promise(requestAnimationFrame);
        say(0, 200);
        log.show(lobby);
        for (let n = 0; n < 3; n++) await frame();
        scroller.scrollTop = 0;
        for (let n = 0; n < 3; n++) await frame();
        say(200, 25_000);
        log.update();
        const shown = [lobby.items[0].text, list.querySelector(".said .text").textContent];
        scroller.scrollTop = 1e9;
        for (let n = 0; n < 3; n++) await frame();
        log.toEnd();
        return [...shown, [...list.querySelectorAll(".said .text")].at(-1).textContent];
    }""")
    assert shown[0] == shown[1]
    assert shown[2] == "24999"


# ── A connection that breaks, and a page that is loaded anew meanwhile ───────────────────────


def test_who_missed_much_and_loads_the_page_anew_can_read_back_to_the_first(
    serve: Serve, people: People
) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        ada.say("lobby", "the first", *(f"before {n}" for n in range(20)))
        pia = people.comes(site, "pia")
        shows(pia, "before 19")
        people.contexts[-1].route_web_socket("**/ws", lambda page: page.close())
        pia.reload()
        ada.say("lobby", *(f"missed {n}" for n in range(120)))
        ada.wait(type="sent", id="missed 119-119")
        people.contexts[-1].route_web_socket("**/ws", lambda page: page.connect_to_server())
        shows(pia, "missed 119")
        pia.evaluate(READ_BACK, "the first")
        shows(pia, "the first")


# ── What is pending where nobody looks any more ──────────────────────────────────────────────


def test_what_is_typed_behind_out_is_told_to_be_refused(
    serve: Serve, people: People, cable: Cabled
) -> None:
    plug, site = cable(serve("--in-memory"))
    with Program(site.address, "ada", "kitchen") as ada:
        pia = people.comes(site, "pia")
        say(pia, "/join kitchen")
        expect(pia.locator("#title")).to_have_text("kitchen")
        plug.pull()
        expect(pia.locator("#status")).to_contain_text("The connection is lost")
        for text in ("before", "/out", "behind"):
            say(pia, text)
        plug.put_back()
        expect(pia.locator("#title")).to_have_text("lobby")
        expect(pia.locator("#log .error")).to_contain_text("not said: behind (")
        assert [each["text"] for each in ada.heard(type="said")] == ["before"]


def test_what_was_told_in_a_conversation_that_was_closed_is_told_to_be_refused(
    serve: Serve, people: People, cable: Cabled
) -> None:
    plug, site = cable(serve("--in-memory"))
    pia = people.comes(site, "pia")
    plug.pull()
    expect(pia.locator("#status")).to_contain_text("The connection is lost")
    say(pia, "/msg nobody hello")
    pia.locator("#directs .close-it").click()
    expect(pia.locator("#title")).to_have_text("lobby")
    plug.put_back()
    expect(pia.locator("#log .error")).to_contain_text("not said: hello (")


def test_a_paste_ends_with_the_conversation_it_goes_to(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        say(pia, "/msg ada hello")
        ada.wait(type="told", text="hello")
        paste(pia, "one\ntwo")
        expect(pia.locator("#wall")).to_be_visible()
        pia.locator("#directs .close-it").click()
        expect(pia.locator("#wall")).to_be_hidden()
        assert [each["text"] for each in ada.heard(type="told")] == ["hello"]


def test_who_has_left_keeps_what_is_typed(serve: Serve, people: People) -> None:
    pia = people.comes(serve("--in-memory"), "pia")
    pia.click("#leave")
    say(pia, "too late")
    expect(pia.locator("#status")).to_contain_text("the conversation is over; come back first")
    expect(pia.locator("#text")).to_have_value("too late")
    no_pending(pia)


def test_what_one_tells_oneself_is_there_once(serve: Serve, people: People) -> None:
    site = serve("--in-memory")
    with Program(site.address, "ada", "lobby") as ada:
        pia = people.comes(site, "pia")
        say(pia, "/msg pia buy milk")
        shows(pia, "buy milk")
        no_pending(pia)
        ada.ask(type="tell", nick="pia", text="behind it")
        expect(pia.locator("#directs .count")).to_have_text("1 unread, 1 for you")
        assert texts(pia) == ["buy milk"]


# ── Who listens ──────────────────────────────────────────────────────────────────────────────


def test_what_is_new_is_read_out_once_however_one_comes_to_see_it(
    serve: Serve, people: People
) -> None:
    pia = people.comes(serve("--in-memory"), "pia")
    heard = pia.evaluate("""async () => {
        const {Conversation, Log, element} = await import("./view.js");
        const lobby = new Conversation("room", "lobby");
        const say = text => lobby.add({kind: "said", seq: 1, at: 0, nick: "ada", text});
        const list = element("div");
        const scroller = element("div", "", list);
        scroller.style.cssText = "position: fixed; inset: 0; overflow: auto";
        document.body.append(scroller);
        const log = new Log(scroller, list, element("div"), element("div"), {older() {}});
        const heard = [];
        new MutationObserver(changes => {
            if (list.getAttribute("aria-live") !== "polite") return;
            for (const {addedNodes} of changes)
                for (const each of addedNodes) heard.push(each.querySelector(".text").textContent);
        }).observe(list, {childList: true});
        const frames = async () => {
            for (let n = 0; n < 3; n++) await new Promise(requestAnimationFrame);
        };
        const live = async () => {
            while (list.getAttribute("aria-live") !== "polite") await frames();
            await frames();
        };

        for (let n = 0; n < 1_000; n++) say(`old ${n}`);
        log.show(lobby);
        say("as it is shown");
        log.update();
        await live();
        say("at the end");
        log.toEnd();
        log.update();
        await live();
        while (list.children.length < 400) {
            scroller.scrollTop = 0;
            await frames();
        }
        say("while one reads further up");
        log.update();
        while (list.lastChild.textContent.includes("further up") === false) {
            scroller.scrollTop += 500;
            await frames();
        }
        await live();
        scroller.scrollTop = 0;
        await frames();
        scroller.scrollTop = 0;
        await live();
        say("to be jumped to");
        log.toEnd();
        await live();
        return heard;
    }""")
    assert heard == [
        "as it is shown",
        "at the end",
        "while one reads further up",
        "to be jumped to",
    ]
