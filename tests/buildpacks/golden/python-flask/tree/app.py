"""A page that counts: everything paas needs to know stands here and in requirements.txt."""

from flask import Flask

MESSAGE = "Hello from Flask"
app = Flask(__name__)


@app.get("/")
def index() -> str:
    return f"{MESSAGE}\n"
