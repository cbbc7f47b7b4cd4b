"""The page for who hears it, sees little or has no mouse: axe-core finds nothing wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.cli.cable import Plug
from tests.cli.test_admin import code_for
from tests.web.conftest import NARROW, People, Program, Site, agree

MEMBERS = 60


class World(NamedTuple):
    """What a scene is made of."""

    serve: Callable[..., Site]
    people: People
    cable: Callable[[Site], tuple[Plug, Site]]
    stack: ExitStack
    folder: Path


@pytest.fixture
def world(
    serve: Callable[..., Site],
    people: People,
    cable: Callable[[Site], tuple[Plug, Site]],
    tmp_path: Path,
) -> World:
    return World(serve, people, cable, ExitStack(), tmp_path)


def _talk(world: World, *flags: str) -> tuple[Site, Program]:
    """A room in which a few things were said."""
    site = world.serve(*(flags or ("--in-memory",)), "--max-per-ip", "200")
    ada = world.stack.enter_context(Program(site.address, "ada", "lobby"))
    ada.ask(type="topic", room="lobby", topic="tea at four: https://example.org/tea")
    ada.say("lobby", "good morning", "is there cake?", "안녕하세요 🍰", "صباح الخير")
    ada.ask(type="say", room="lobby", text="puts the kettle on", emote=True, id="emote")
    ada.wait(type="sent", id="emote")
    return site, ada


# ── Scenes ───────────────────────────────────────────────────────────────────────────────────


def entrance(world: World) -> Page:
    site, _ = _talk(world)
    pia = world.people.opens(site.url)
    expect(pia.locator("#offered-rooms li")).to_have_count(1)
    return pia


def asked_about_a_code(world: World) -> Page:
    site, _ = _talk(world, "--data", str(world.folder))
    pia = world.people.opens(f"{site.url}#claim={code_for(world.folder, 'pia')}")
    expect(pia.locator("#claim-dialog")).to_be_visible()
    expect(pia.locator("#offered-rooms li")).to_have_count(1)
    return pia


def invited(world: World) -> Page:
    pia = asked_about_a_code(world)
    agree(pia)
    expect(pia.locator("#account")).to_be_visible()
    expect(pia.locator("#offered-rooms li")).to_have_count(1)
    return pia


def refused_nick(world: World) -> Page:
    pia = entrance(world)
    pia.fill("#nick", "ada")
    pia.press("#nick", "Enter")
    expect(pia.locator("#enter-error")).to_have_text("the nickname ada is taken")
    return pia


def full_room(world: World) -> Page:
    site, ada = _talk(world)
    for number in range(MEMBERS):
        nick = f"person-{number}" if number % 7 else f"{'n' * 20}{number}"
        world.stack.enter_context(Program(site.address, nick, "lobby"))
    pia = world.people.comes(site, "pia")
    ada.say("lobby", "word" * 50, f"https://example.org/{'path/' * 40}", "pia: look")
    expect(pia.locator(".row.mention .text")).to_have_text("pia: look")
    expect(pia.locator("#members li")).to_have_count(MEMBERS + 2)
    return pia


def unread(world: World, **options: object) -> Page:
    site, ada = _talk(world)
    pia = world.people.comes(site, "pia", "den", **options)
    ada.ask(type="join", room="den")
    pia.fill("#text", "/join lobby")
    pia.press("#text", "Enter")
    expect(pia.locator("#title")).to_have_text("lobby")
    ada.say("den", "one", "pia: two")
    ada.ask(type="tell", nick="pia", text="psst")
    expect(pia.locator("#directs .count")).to_have_text("1 unread, 1 for you")
    return pia


def phone(world: World) -> Page:
    return unread(world, **NARROW)


def phone_conversations(world: World) -> Page:
    pia = phone(world)
    pia.locator("#show-side").click()
    expect(pia.locator("#rooms li")).to_have_count(2)
    pia.locator("#side").evaluate("each => Promise.all(each.getAnimations().map(a => a.finished))")
    return pia


def direct(world: World) -> Page:
    pia = unread(world)
    pia.locator("#directs button.direct").click()
    expect(pia.locator("#log .row.said .text")).to_have_text("psst")
    return pia


def searching(world: World) -> Page:
    site, _ = _talk(world, "--durability", "os")
    pia = world.people.comes(site, "pia")
    pia.locator("#show-search").click()
    pia.fill("#words", "cake")
    pia.press("#words", "Enter")
    expect(pia.locator("#found li")).to_have_count(1)
    return pia


def helped(world: World) -> Page:
    site, _ = _talk(world)
    pia = world.people.comes(site, "pia", **NARROW)
    pia.fill("#text", "/help")
    pia.press("#text", "Enter")
    expect(pia.locator("#help-dialog")).to_be_visible()
    return pia


def joining(world: World) -> Page:
    site, _ = _talk(world)
    pia = world.people.comes(site, "pia")
    pia.locator("#more-rooms").click()
    expect(pia.locator("#room-list li")).to_have_count(1)
    return pia


def lost(world: World) -> Page:
    site, _ = _talk(world)
    plug, site = world.cable(site)
    pia = world.people.comes(site, "pia")
    plug.pull()
    pia.fill("#text", "said without a connection")
    pia.press("#text", "Enter")
    expect(pia.locator("#pending .row")).to_have_count(1)
    expect(pia.locator("#status")).to_contain_text("The connection is lost")
    return pia


def over(world: World) -> Page:
    site, _ = _talk(world)
    pia = world.people.comes(site, "pia")
    pia.locator("#leave").click()
    expect(pia.locator("#status button")).to_be_visible()
    return pia


SCENES = (
    entrance,
    asked_about_a_code,
    invited,
    refused_nick,
    full_room,
    unread,
    phone,
    phone_conversations,
    direct,
    searching,
    helped,
    joining,
    lost,
    over,
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_axe_finds_nothing(scene: Callable[[World], Page], world: World) -> None:
    with world.stack:
        page = scene(world)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            found = Axe().run(page)
            assert found.response["violations"] == [], found.generate_report()
