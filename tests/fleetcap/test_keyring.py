"""Where keys come from, when they are read again, and that errors say nothing of them."""

import base64
from pathlib import Path

import pytest

from fleetcap.keyring import Keyring, KeyringError, from_command, from_file, parsed, source
from fleetcap.settings import load

ONE, TWO = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))


def _file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "keys"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_first_key_comes_first_and_comments_are_passed_over(tmp_path: Path) -> None:
    keys = from_file(_file(tmp_path, f"# new\nb {TWO}\n\n a  {ONE} \n"))()
    assert [(key.id, key.secret[0]) for key in keys] == [("b", 2), ("a", 1)]


def test_a_command_gives_the_same(tmp_path: Path) -> None:
    path = _file(tmp_path, f"a {ONE}\n")
    assert from_command(f"cat '{path}'")() == from_file(path)()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no keys"),
        ("a\n", "line 1"),
        (f"a {ONE}\nb c2VjcmV0\n", "line 2"),
        (f"a {ONE}\na {TWO}\n", "line 2"),
        (f"a {ONE[:-4]}*secret\n", "line 1"),
    ],
)
def test_what_is_no_key_is_told_by_its_line_alone(text: str, said: str) -> None:
    with pytest.raises(KeyringError, match=said) as caught:
        parsed(text, "here")
    assert "c2VjcmV0" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeyringError, match="chmod 600"):
        from_file(_file(tmp_path, f"a {ONE}\n", mode))()


def test_a_file_or_command_that_fails_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match="cannot be read"):
        from_file(tmp_path / "none")()
    with pytest.raises(KeyringError, match="exit code 3") as caught:
        from_command("sh -c 'echo secret; exit 3'")()
    assert "secret" not in str(caught.value)
    with pytest.raises(KeyringError, match="FileNotFoundError"):
        from_command("/no/such/command")()


def test_an_unknown_key_is_looked_for_again_but_not_at_every_record(tmp_path: Path) -> None:
    path = _file(tmp_path, f"a {ONE}\n")
    now = [0.0]
    ring = Keyring(from_file(path), lambda: now[0])
    assert ring("a") == bytes([1]) * 32
    path.write_text(f"b {TWO}\na {ONE}\n")
    assert ring("b") is None
    now[0] = 31.0
    assert ring("b") == bytes([2]) * 32
    path.unlink()
    now[0] = 62.0
    assert ring("c") is None
    assert ring("a") is not None, "keys that are known stay known where the file is gone"


def test_two_sources_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(KeyringError, match="leave one out"):
        source(load({"record_keys": tmp_path, "record_keys_command": "cat"}))
    assert source(load({})) is None
