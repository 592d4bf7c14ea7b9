"""RUN --mount: keys and values of each type."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.errors import DockerfileError
from paas.build.dockerfile.parser import parse


def mount(text: str) -> dict[str, str]:
    run = parse(f"FROM x\nRUN --mount={text} true".encode()).stages[0].instructions[0]
    assert isinstance(run, ins.Run)
    return run.mounts[0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("target=/a", {"type": "bind", "target": "/a", "readonly": "true"}),
        (
            "type=bind,dst=/a,src=b,from=c",
            {"type": "bind", "target": "/a", "source": "b", "from": "c", "readonly": "true"},
        ),
        ("TYPE=Bind,Destination=/a,rw", {"type": "bind", "target": "/a", "readonly": "false"}),
        ("target=/a,readwrite=false", {"type": "bind", "target": "/a", "readonly": "true"}),
        ("target=/a,ro=0", {"type": "bind", "target": "/a", "readonly": "false"}),
        ("target=/a,ro=$RO", {"type": "bind", "target": "/a", "readonly": "$RO"}),
        ("type=cache,target=/a", {"type": "cache", "target": "/a", "readonly": "false"}),
        (
            "type=cache,target=/a,id=b,sharing=LOCKED,mode=0755,uid=1,gid=$G,ro",
            {
                "type": "cache",
                "target": "/a",
                "id": "b",
                "sharing": "locked",
                "mode": "0755",
                "uid": "1",
                "gid": "$G",
                "readonly": "true",
            },
        ),
        ("type=tmpfs,target=/a,size=64m", {"type": "tmpfs", "target": "/a", "size": "64m", "readonly": "false"}),
        ("type=tmpfs,target=/a,size=1.5GiB", {"type": "tmpfs", "target": "/a", "size": "1.5GiB", "readonly": "false"}),
        ("type=secret,id=a,required", {"type": "secret", "id": "a", "required": "true", "readonly": "true"}),
        ("type=secret,source=a,env=B", {"type": "secret", "id": "a", "env": "B", "readonly": "true"}),
        ("type=secret,target=/a", {"type": "secret", "target": "/a", "readonly": "true"}),
        ("type=ssh", {"type": "ssh", "readonly": "true"}),
        ("type=ssh,id=a,required=T", {"type": "ssh", "id": "a", "required": "true", "readonly": "true"}),
        ('type=bind,"target=/a b"', {"type": "bind", "target": "/a b", "readonly": "true"}),
        ("'target=/a b'", {"type": "bind", "target": "/a b", "readonly": "true"}),
        ("'\"target=/a,b\"'", {"type": "bind", "target": "/a,b", "readonly": "true"}),
    ],
)
def test_mounts(text: str, found: dict[str, str]) -> None:
    assert mount(text) == found


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("", "needs key=value", "Example"),
        ("type=cahce,target=/a", "type=cahce is not known", "cache"),
        ("type=zzz", "type=zzz is not known", "bind"),
        ("target=/a,sourec=b", "no key 'sourec'", "source"),
        ("target=/a,qqq=b", "no key 'qqq'", "Known"),
        ("target=/a,target=/b", "target is given twice", None),
        ("target=/a,dst=/b", "target is given twice", None),
        ("target", "target needs a value", None),
        ("type=bind", "needs a target", "target="),
        ("type=cache", "needs a target", "target="),
        ("type=tmpfs,target=", "needs a target", None),
        ("type=tmpfs,target=/", "whole image", None),
        ("target=/a/..", "whole image", None),
        ("type=secret", "needs an id or a target", "id="),
        ("type=secret,id=a,source=b", "not both", None),
        ("target=/a,id=b", "type bind has no key id", "source"),
        ("target=/a,required", "type bind has no key required", None),
        ("type=cache,target=/a,size=1", "type cache has no key size", None),
        ("type=tmpfs,target=/a,from=b", "type tmpfs has no key from", None),
        ("type=secret,id=a,from=b", "type secret has no key from", None),
        ("type=secret,id=a,sharing=shared", "type secret has no key sharing", None),
        ("type=ssh,env=A", "type ssh has no key env", None),
        ("target=/a,ro=maybe", "readonly=maybe is not true or false", None),
        ("target=/a,rw=$X", "readwrite=$X is not true or false", None),
        ("target=/a,ro,rw", "either readonly or readwrite", None),
        ("target=/a,from=$X", "cannot contain variables", "AS name"),
        ("type=cache,target=/a,sharing=lokced", "is not shared, private or locked", "locked"),
        ("type=cache,target=/a,mode=888", "is not an octal mode", None),
        ("type=cache,target=/a,uid=root", "is not a number", None),
        ("type=cache,target=/a,gid=4294967296", "is not a number", None),
        ("type=tmpfs,target=/a,size=big", "is not a size", None),
        ("'\"target=/a'", "cannot be read", None),
    ],
)
def test_mounts_that_are_wrong(text: str, reason: str, hint: str | None) -> None:
    with pytest.raises(DockerfileError) as caught:
        mount(text)
    assert reason in caught.value.reason
    assert caught.value.span.first == 2
    assert hint is None or hint in (caught.value.hint or "")


@given(
    st.lists(
        st.sampled_from(
            ["type=", "cache", "bind", "secret", "target=/a", "id=b", ",", "ro", "rw", "=", '"', "$A", "mode=7"]
        )
    ).map("".join)
)
def test_any_mount_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(DockerfileError):
        found = mount(text)
        assert found["type"] in ("bind", "cache", "tmpfs", "secret", "ssh")
        assert found["readonly"] in ("true", "false") or "$" in found["readonly"]
