"""The house rules, as tests: sizes, names, spawning, vendored files, the lock, generated files."""

import ast
import hashlib
import importlib.util
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
MAX_LINES = 320
PACKAGES = sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))
SERVICES = [path for path in PACKAGES if path.parent.name == "services"]
SOURCES = sorted(file for package in PACKAGES for file in package.glob("src/**/*.py"))
SPAWNERS = {"create_task", "ensure_future", "gather"}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tracked() -> list[Path]:
    """Files of the commit, and those that would go into it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    return [
        path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()
    ]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"scripts/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_rules_see_the_code() -> None:
    assert len(SERVICES) == 5
    assert len(SOURCES) > 50


def test_the_type_checker_is_shown_the_code() -> None:
    """A pattern that finds no file is no error to it; folders by name cannot miss any."""
    read = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["basedpyright"]
    folders = [ROOT / name for name in read["include"]]
    assert all(folder.is_dir() for folder in folders)
    assert [file for file in SOURCES if not any(map(file.is_relative_to, folders))] == []


def test_no_source_file_is_too_long() -> None:
    lengths = {relative(file): len(file.read_text("utf-8").splitlines()) for file in SOURCES}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


def test_every_source_file_says_what_it_is() -> None:
    undocumented = [
        relative(file)
        for file in SOURCES
        if (text := file.read_text("utf-8")).strip() and not ast.get_docstring(ast.parse(text))
    ]
    assert undocumented == []


def spawns(tree: ast.AST) -> list[str]:
    """``asyncio.create_task`` and its like, called on the module, on a loop or imported from it;
    a TaskGroup's own create_task has an owner."""
    found: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module="asyncio", names=names):
                found += [alias.name for alias in names if alias.name in SPAWNERS]
            case ast.Attribute(value=ast.Name(id="asyncio" | "loop"), attr=name):
                found += [name] if name in SPAWNERS else []
            case ast.Attribute(
                value=ast.Call(func=ast.Attribute(value=ast.Name(id="asyncio"))), attr=name
            ):
                found += [name] if name in SPAWNERS else []
    return found


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        ("asyncio.create_task(f())", True),
        ("asyncio.get_running_loop().create_task(f())", True),
        ("loop.create_task(f())", True),
        ("from asyncio import gather", True),
        ("await asyncio.gather(f())", True),
        ("group.create_task(f())", False),
        ("tasks.spawn(f())", False),
        ("asyncio.TaskGroup()", False),
    ],
)
def test_what_counts_as_spawning(text: str, caught: bool) -> None:
    assert bool(spawns(ast.parse(text))) is caught


def test_only_the_supervisor_spawns() -> None:
    watched = [*SERVICES, ROOT / "libs/runtime", ROOT / "libs/protocol"]
    found = {
        relative(file): names
        for package in watched
        for file in package.glob("src/**/*.py")
        if (names := spawns(ast.parse(file.read_text("utf-8"))))
    }
    found.pop("libs/runtime/src/runtime/tasks.py", None)
    assert found == {}


def test_no_test_file_has_the_name_of_another() -> None:
    names = Counter(file.name for file in (ROOT / "tests").rglob("test_*.py"))
    assert {name: n for name, n in names.items() if n > 1} == {}


def test_tests_are_no_packages() -> None:
    assert [relative(file) for file in (ROOT / "tests").rglob("__init__.py")] == []


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_every_package_is_typed(package: Path) -> None:
    name = package.name.replace("-", "_")
    assert (package / "src" / name / "py.typed").is_file()


VENDORED = sorted(file for file in tracked() if file.name == "VENDOR.md")


def test_there_is_something_vendored() -> None:
    assert VENDORED


@pytest.mark.parametrize("list_", VENDORED, ids=relative)
def test_vendored_files_are_the_listed_ones_unchanged(list_: Path) -> None:
    listed: dict[str, str] = {}
    for row in list_.read_text("utf-8").splitlines():
        cells = [cell.strip(" `") for cell in row.strip("|").split("|")]
        digests = [cell for cell in cells if re.fullmatch(r"[0-9a-f]{64}", cell)]
        if digests:
            listed[cells[0]] = digests[0]
    present = {
        str(file.relative_to(list_.parent)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in list_.parent.rglob("*")
        if file.is_file() and file != list_
    }
    assert present == listed


def test_no_file_names_a_package_registry_or_a_path_of_one_machine() -> None:
    # In parts, so that this file does not hold what it looks for.
    hosts = ["py" + "pi.org", "files.python" + "hosted.org", "registry.npm" + "js.org"]
    hosts += ["registry.yarn" + "pkg.com", "py" + "pi.python.org", "index-" + "url"]
    machine = r"(?<![\w./-])/(?:wo" + r"rk|ro" + r"ot)/"
    looked_for = re.compile("|".join([*(re.escape(host) for host in hosts), machine]))
    found: list[str] = []
    for file in tracked():
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if match := looked_for.search(line):
                found.append(f"{relative(file)}:{number}: {match.group()}")
    assert found == []


def requirements() -> list[tuple[str, Requirement]]:
    """Every direct requirement with the file that has it; members of the workspace left out."""
    texts: list[tuple[str, str]] = []
    for package in PACKAGES:
        project = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]
        lists = [
            project.get("dependencies", []),
            *project.get("optional-dependencies", {}).values(),
        ]
        texts += [(package.name, text) for each in lists for text in each]
    root = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    texts += [("the root", text) for each in root["dependency-groups"].values() for text in each]
    members = {canonicalize_name(package.name) for package in PACKAGES}
    found = [(owner, Requirement(text)) for owner, text in texts]
    return [(owner, need) for owner, need in found if canonicalize_name(need.name) not in members]


def pins() -> dict[str, Version]:
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", lock, re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in found}


def test_the_lock_pins_what_the_members_require() -> None:
    locked = pins()
    wrong: list[str] = []
    for owner, need in requirements():
        version = locked.get(canonicalize_name(need.name))
        if version is None or not need.specifier.contains(version, prereleases=True):
            wrong.append(f"{owner} requires {need}, the lock has {version}")
    assert wrong == [], "run `make lock`"


def test_every_direct_requirement_has_a_floor() -> None:
    floorless = [
        f"{owner}: {need}"
        for owner, need in requirements()
        if not any(part.operator in (">=", "==", "~=", ">") for part in need.specifier)
    ]
    assert floorless == []


def test_the_lock_has_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in lock
    entries = re.split(r"\n(?=[A-Za-z0-9])", lock)
    assert [entry.splitlines()[0] for entry in entries if "--hash=" not in entry] == []


def test_generated_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert script("generate").main(["--check"]) == 0, capsys.readouterr().err


def test_generating_renews_the_table_and_nothing_around_it(tmp_path: Path) -> None:
    generate = script("generate")
    (tmp_path / "README.md").write_text(
        f"# Title\n\n{generate.START}\na stale row\n{generate.END}\n\nafter\n", encoding="utf-8"
    )
    assert generate.main(["--check"], tmp_path) == 1
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0
    text = (tmp_path / "README.md").read_text("utf-8")
    assert text.startswith("# Title\n")
    assert text.endswith("\n\nafter\n")
    assert "a stale row" not in text
    assert "| `NATS_URL` | `nats://127.0.0.1:4222` | all services |" in text
    assert "\n# NATS_URL=nats://127.0.0.1:4222\n" in (tmp_path / ".env.example").read_text("utf-8")


def test_a_readme_without_its_markers_is_an_error() -> None:
    with pytest.raises(ValueError, match="markers"):
        script("generate").readme("# Title", [])


def test_every_setting_says_what_it_is() -> None:
    assert [s.variable for s in script("generate").settings() if not s.description] == []
