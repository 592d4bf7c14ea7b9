"""Other firewalls on this machine: a packet has to pass all of them, and some drop what they do not know.

Docker and ufw make `drop` what happens to forwarded packets that no rule takes; ufw to incoming ones as well, and what
comes in for nginx has a local port by then that no `ufw allow 80` speaks of. A rule of ours at the very end of such a
chain takes what the table `paas` has decided about already. What was refused by their own rules stays refused.
"""

from __future__ import annotations

from pathlib import Path

from paas.errors import SystemFailure
from paas.network.rules import Frame
from paas.network.ruleset import BaseChain, Rule, Ruleset
from paas.system import run as system

_XTABLES = {"ip": "iptables-nft", "ip6": "ip6tables-nft"}
_LEGACY = {"iptables-legacy": "ip_tables_names", "ip6tables-legacy": "ip6_tables_names"}
_ENDS = ("drop", "reject")


def admit(ruleset: Ruleset, frame: Frame) -> list[str]:
    """Add what is missing; returns a sentence for each chain that cannot be changed."""
    found = []
    for hook in ("forward", "input"):
        for chain in ruleset.base_chains(hook):
            if chain.table == frame.table:
                continue
            try:
                _admit(ruleset, frame, chain)
            except SystemFailure as error:
                found.append(
                    f"The {hook} chain {chain.family} {chain.table} {chain.name} of another firewall drops packets, "
                    f"and cannot be told to let those of apps pass: {error.message}"
                )
    return found + _legacy(frame)


def _admit(ruleset: Ruleset, frame: Frame, chain: BaseChain) -> None:
    rules = ruleset.rules(chain)
    last = _last_word(rules)
    if chain.policy != "drop" and last is None:
        return
    if chain.table == "filter" and chain.name in ("FORWARD", "INPUT") and chain.family in _XTABLES:
        _admit_by_iptables(frame, _XTABLES[chain.family], chain.name, len(rules) if last else 0)
        return
    comment = f"{frame.table}: apps"
    if not any(rule.comment == comment for rule in rules):
        where = f"{chain.family} {chain.table} {chain.name}"
        verb = f"insert rule {where} position {last.handle}" if last else f"add rule {where}"
        matches = _matches(frame, chain.hook)
        ruleset.run("\n".join(f'{verb} {match} accept comment "{comment}"' for match in matches))


def _last_word(rules: list[Rule]) -> Rule | None:
    """The last rule, when it drops or rejects everything that comes so far."""
    words = [next(iter(each)) for each in rules[-1].expressions if isinstance(each, dict)] if rules else []
    return rules[-1] if [word for word in words if word not in ("counter", "log")] in ([w] for w in _ENDS) else None


def _matches(frame: Frame, hook: str) -> list[str]:
    low, high = frame.proxy_ports
    if hook == "forward":
        return [f'iifname "{frame.link_prefix}*"', f'oifname "{frame.link_prefix}*"']
    return [f'iifname "{frame.link_prefix}*" ct status dnat', f"tcp dport {low}-{high} ct status dnat"]


def _admit_by_iptables(frame: Frame, tool: str, chain: str, before: int) -> None:
    """The same in its own tool's words, which could not read the rules of others. `before`: the rule to come before."""
    for rule in _in_its_words(frame, chain):
        if system.run([tool, "-w", "-C", chain, *rule], check=False).status != 0:
            place = ["-I", chain, str(before)] if before else ["-A", chain]
            system.run([tool, "-w", *place, *rule])


def _in_its_words(frame: Frame, chain: str) -> list[list[str]]:
    low, high = frame.proxy_ports
    ours = f"{frame.link_prefix}+"
    dnat = ("-m", "conntrack", "--ctstate", "DNAT")
    wanted: list[tuple[str, ...]] = [("-i", ours), ("-o", ours)]
    if chain == "INPUT":
        wanted = [("-i", ours, *dnat), ("-p", "tcp", "--dport", f"{low}:{high}", *dnat)]
    return [[*match, "-m", "comment", "--comment", f"{frame.table}: apps", "-j", "ACCEPT"] for match in wanted]


def withdraw(ruleset: Ruleset, frame: Frame) -> None:
    """Undo `admit`; what others have done to the rules meanwhile does not matter."""
    tools = [tool for tool, names in _LEGACY.items() if _is_used(names)]
    for hook in ("forward", "input"):
        for chain in ruleset.base_chains(hook):
            if chain.table == "filter" and chain.name in ("FORWARD", "INPUT") and chain.family in _XTABLES:
                tools.append(_XTABLES[chain.family])
                continue
            for rule in ruleset.rules(chain):
                if rule.comment == f"{frame.table}: apps":
                    ruleset.run(f"delete rule {chain.family} {chain.table} {chain.name} handle {rule.handle}")
    for tool in dict.fromkeys(tools):
        for name in ("FORWARD", "INPUT"):
            for words in _in_its_words(frame, name):
                try:
                    system.run([tool, "-w", "-D", name, *words], check=False)
                except SystemFailure:
                    break  # the tool is not there, so it has added nothing


def _is_used(names: str) -> bool:
    file = Path("/proc/thread-self/net", names)
    return file.exists() and "filter" in file.read_text().split()


def _legacy(frame: Frame) -> list[str]:
    """Rules that nftables does not show: those of the older iptables, where that is in use at all."""
    found = []
    for tool, names in _LEGACY.items():
        try:
            for chain in ("FORWARD", "INPUT") if _is_used(names) else ():
                lines = system.run([tool, "-w", "-S", chain]).text.split("\n")
                if lines[0].split()[-1:] == ["DROP"]:
                    _admit_by_iptables(frame, tool, chain, 0)
        except SystemFailure as error:
            found.append(f"A firewall of {tool} may drop what comes to apps: {error.message}")
    return found
