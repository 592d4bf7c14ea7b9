"""nftables through libnftables: one buffer of commands is one atomic transaction, in 0.1 to 0.2 ms."""

from __future__ import annotations

import ctypes
import threading

from paas.errors import SystemFailure
from paas.system import run as system

_JSON = 1 << 4
"""NFT_CTX_OUTPUT_JSON"""


class Nft:
    """Runs nft commands; thread-safe. Without the library the `nft` tool is used (15 to 20 ms a transaction)."""

    def __init__(self, library_name: str = "libnftables.so.1", *, json: bool = False) -> None:
        """`json`: what is listed comes as libnftables-json(5) has it."""
        self._json = json
        self._lock = threading.Lock()
        try:
            self._library: ctypes.CDLL | None = ctypes.CDLL(library_name)
        except OSError:
            self._library = None
            return
        library = self._library
        library.nft_ctx_new.restype = ctypes.c_void_p
        for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
            getattr(library, name).restype = ctypes.c_char_p
            getattr(library, name).argtypes = [ctypes.c_void_p]
        for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
        library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._context = library.nft_ctx_new(0)
        if not self._context:
            raise SystemFailure("libnftables cannot be used")
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)
        if json:
            library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
            library.nft_ctx_output_set_flags(self._context, _JSON)

    def run(self, commands: str) -> str:
        """Run commands as one transaction and return what they print. Raises SystemFailure with nft's message."""
        if self._library is None:
            return system.run(["nft", *(["-j"] if self._json else []), "-f", "-"], input=commands.encode()).text
        with self._lock:
            status = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
            output = self._library.nft_ctx_get_output_buffer(self._context) or b""
            error = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if status != 0:
            raise SystemFailure(f"nft refused a change: {error.decode('utf-8', 'replace').strip()[:500]}")
        return str(output.decode("utf-8", "replace"))
