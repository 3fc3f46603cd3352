"""How staff's passwords are hashed."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from files_app.services.index.transactions import release_connection


class PasswordHasher(PBKDF2PasswordHasher):
    """Django's own, which holds no database connection for the third of a second that it takes."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        release_connection()
        return super().encode(password, salt, iterations)
