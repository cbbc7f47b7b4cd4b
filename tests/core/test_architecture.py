"""The core is pure, stands alone, and has exactly the public names that are documented."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import tcpchat_core
import tcpchat_net

CORE = Path(tcpchat_core.__file__).parent
MODULES = sorted(CORE.rglob("*.py"))

FORBIDDEN = {
    "asyncio",
    "gevent",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "select",
    "signal",
    "socket",
    "ssl",
    "subprocess",
    "tcpchat_cli",
    "tcpchat_net",
    "threading",
    "time",
    "uuid",
}


def imported(source: str) -> set[str]:
    """The top-level packages that a module's source imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                found |= {alias.name.partition(".")[0] for alias in names}
            case ast.ImportFrom(module=str(module), level=0):
                found.add(module.partition(".")[0])
            case _:
                pass
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(CORE)))
def test_no_module_of_the_core_imports_anything_impure(module: Path) -> None:
    source = module.read_text()
    assert not imported(source) & FORBIDDEN
    assert "__import__" not in source
    assert "import_module" not in source


@pytest.mark.parametrize(
    "source", ["import time", "def f():\n import os.path", "from gevent.server import X"]
)
def test_the_search_for_imports_finds_them(source: str) -> None:
    assert imported(source) & FORBIDDEN


def run(program: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_core_brings_in_no_gevent_and_no_runtime() -> None:
    program = (
        "import sys, tcpchat_core\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(names & {'gevent', 'greenlet', 'tcpchat_net', 'tcpchat_cli', 'asyncio'}))"
    )
    assert run(program) == "[]\n"


def test_the_core_works_where_gevent_cannot_be_imported() -> None:
    program = (
        "import sys\n"
        "sys.modules['gevent'] = sys.modules['greenlet'] = None\n"
        "from tcpchat_core import ChatState, Entry, events\n"
        "print(ChatState().handle(Entry(1, 0, 1, events.Connect()))[0].payload.nick)"
    )
    assert run(program) == "guest-1\n"


@pytest.mark.parametrize("package", [tcpchat_core, tcpchat_net], ids=lambda each: each.__name__)
def test_what_a_package_offers_is_listed_once_and_is_what_its_modules_offer(
    package: ModuleType,
) -> None:
    listed = package.__all__
    assert len(set(listed)) == len(listed)
    offered = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    modules = {name for name in listed if isinstance(getattr(package, name), ModuleType)}
    assert offered == set(listed) - modules
    for name in offered:
        home = getattr(getattr(package, name), "__module__", "")
        if home.startswith("tcpchat_") and hasattr(sys.modules[home], "__all__"):
            assert name in sys.modules[home].__all__


def test_the_core_says_that_it_is_typed() -> None:
    assert (CORE / "py.typed").is_file()
