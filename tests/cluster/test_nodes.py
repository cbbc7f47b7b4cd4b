"""People on several nodes are in one chat, also when a node is killed, stopped, or hangs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tcpchat_core import notices
from tests.cluster.cable import Cable
from tests.cluster.engines import VALKEY, Engine
from tests.cluster.nodes import ROOM, Person, Talk, Team, until
from tests.cluster.test_engines import REDIS

_PROGRAMS = [
    pytest.param(VALKEY, id="valkey"),
    pytest.param(
        REDIS,
        id="redis",
        marks=pytest.mark.skipif(REDIS is None, reason=".ci/run installs it"),
    ),
]

# ── One chat ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("program", _PROGRAMS)
def test_people_on_two_nodes_are_in_one_chat(program: str, tmp_path: Path) -> None:
    with Engine(program=program) as engine, Team(tmp_path, engine.url("team")) as team:
        one, two = team.nodes
        with one.peer("ada", ROOM) as ada, two.peer("bob", ROOM) as bob:
            ada.read_until("* bob joined lobby")
            ada.send("tea at four\n")
            bob.read_until("[lobby] ada: tea at four")
            bob.send("/who\n/nick ADA\n/rooms\n/msg ada psst\n")
            assert bob.read_line() == "* 2 in lobby: ada, bob. Moderators: ada"
            assert bob.read_line() == "! nick-in-use: the nickname ada is taken"
            assert bob.read_line() == "* lobby (2)"
            ada.read_until("[bob → you] psst")
            two.stop()
            ada.read_until("* bob quit")
            ada.send("coffee at five\n/who\n")
            ada.read_until("* 1 in lobby: ada")  # so what was said before is in the log
            shutil.rmtree(two.folder)
            two.start()  # as if it had never been there
            with two.peer("cy", ROOM) as cy:
                cy.send("/history\n/search TEA\n")
                assert cy.read_until("* That was the history.")[-3:-1] == [
                    "[lobby] ada: tea at four",
                    "[lobby] ada: coffee at five",
                ]
                assert cy.read_line().endswith("[lobby] ada: tea at four")


def test_an_answer_is_shown_alike_on_all_nodes_also_when_what_it_answers_is_taken_back(
    engine: Engine, tmp_path: Path
) -> None:
    with Team(tmp_path, engine.url("team")) as team:
        one, two = team.nodes
        with one.peer("ada", ROOM) as ada, two.peer("bob", ROOM) as bob:
            ada.read_until("* bob joined lobby")
            ada.send("tea at four?\n")
            bob.read_until("[lobby] ada: tea at four?")
            bob.send("/reply yes\n")
            ada.read_until('[lobby] bob (to ada "tea at four?"): yes')
            ada.send("/redact\n/reply good\n")
            bob.read_until('[lobby] ada (to bob "yes"): good')
            two.kill()
            two.start()
            with two.peer("cy") as cy:
                cy.send("/join lobby\n")
                assert cy.read_until("* You joined lobby")[-4:-1] == [
                    "[lobby] * ada (taken back)",
                    "[lobby] bob (to an earlier message): yes",
                    '[lobby] ada (to bob "yes"): good',
                ]
        team.stop()
        for node in team.nodes:
            assert "tea at four" not in str(node.exported(ROOM))


def test_a_session_that_is_lost_on_one_node_goes_on_at_another(
    engine: Engine, tmp_path: Path
) -> None:
    with Team(tmp_path, engine.url("team")) as team, Cable(team.nodes[0].place[1]) as cable:
        one, two = team.nodes
        ada = Person("ada", [("127.0.0.1", cable.port), two.place], ROOM)
        try:
            with one.peer("bob", ROOM) as bob:
                ada.say("before")
                cable.cut()
                bob.send("meanwhile\n/msg ada psst\n")
                until(lambda: len(ada.told) >= 4)
                ada.say("after")
                bob.read_until("[lobby] ada: after")
                bob.send("/who\n")
                assert bob.read_line() == "* 2 in lobby: ada, bob. Moderators: ada"
                bob.send("/msg ada again\n")
                until(lambda: len(ada.told) >= 5)
            joined, *told = ada.told[:5]
            assert isinstance(joined, notices.Joined)
            assert [type(each) for each in told].count(notices.Resumed) == 1
            texts = [each.text for each in told if isinstance(each, notices.Said | notices.Told)]
            assert sorted(texts) == ["again", "meanwhile", "psst"]
            assert ada.place == two.place
        finally:
            ada.close()


# ── Nodes end ────────────────────────────────────────────────────────────────────────────────────


def test_nodes_that_are_killed_again_and_again_lose_nothing(engine: Engine, tmp_path: Path) -> None:
    with Team(tmp_path, engine.url("team"), 3) as team, Talk(team) as talk:
        talk.begin()
        for node in team.nodes:
            node.kill()
            talk.go_on()  # its people are elsewhere
            node.start()  # it is let in at once
            talk.go_on()
        talk.finish()
        team.stop()
        talk.check_archives()


def test_nodes_that_are_restarted_one_after_the_other_lose_nothing(
    engine: Engine, tmp_path: Path
) -> None:
    with Team(tmp_path, engine.url("team")) as team, Talk(team) as talk:
        talk.begin()
        for node in team.nodes:
            node.stop()
            talk.go_on()
            node.start()
            talk.go_on()
        talk.finish()
        team.stop()
        assert "without a word" not in team.logs()
        talk.check_archives()


def test_a_node_that_is_gone_without_a_word_is_missed_and_its_people_are_gone(
    engine: Engine, tmp_path: Path
) -> None:
    with Team(tmp_path, engine.url("team"), 3) as team, Talk(team) as talk:
        one, two, _ = team.nodes
        with one.peer("ada", "tea") as ada, two.peer("bob", "tea"):
            ada.read_until("* bob joined tea")
            talk.begin()
            two.kill()
            ada.send("/who\n")  # at once: nobody knows how long the others take to go on
            assert ada.read_line() == "* 2 in tea: ada, bob. Moderators: ada"
            talk.go_on()
            assert ada.read_line().startswith("* bob quit (the server restarted)")
            talk.go_on()
        said = [node.log_text().count("node 2 is gone without a word") for node in team.nodes]
        assert sum(said) == 1
        two.start()
        talk.go_on()
        talk.finish()
        team.stop()
        talk.check_archives()


def test_a_node_that_hangs_for_too_long_is_ended_and_comes_back(
    engine: Engine, cable: Cable, tmp_path: Path
) -> None:
    urls = [engine.url("team"), engine.url("team", cable.port)]
    with Team(tmp_path, urls) as team, Talk(team) as talk:
        one, two = team.nodes
        with one.peer("ada", "tea") as ada, two.peer("bob", "tea") as bob:
            ada.read_until("* bob joined tea")
            talk.begin()
            two.pause()
            talk.go_on(but_on=two)
            assert ada.read_line().startswith("* bob quit (the server restarted)")
            talk.go_on(but_on=two)
            begins = two.begins
            cable.drop_replies(to=b"XRANGE", times=3)  # also while it begins anew
            two.resume()
            assert bob.read_to_end()[-1] == "* Closing: this node begins anew"
        two.until_begun_anew(begins)
        assert cable.dropped == 3
        talk.go_on()
        with two.peer("bob", "tea") as bob:
            bob.send("/who\n")
            bob.read_until("* 1 in tea: bob. Moderators: bob")
        talk.finish()
        team.stop()
        talk.check_archives()
