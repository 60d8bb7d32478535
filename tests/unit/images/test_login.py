"""Logins: one kind at a time, and nothing of them is shown."""

import pytest

from services.importer.images.login import Login


@pytest.mark.parametrize("login", [Login(username="robot", password="hunter2"), Login(token="hunter2")])
def test_no_part_of_a_login_is_shown(login: Login):
    assert f"{login} {login!r}" == "Login() Login()"


@pytest.mark.parametrize("parts", [{}, {"username": "robot", "token": "t"}, {"password": "hunter2"}])
def test_a_login_is_a_user_or_a_token(parts: dict[str, str]):
    with pytest.raises(ValueError, match="either a user name with a password, or a token"):
        Login(**parts)
