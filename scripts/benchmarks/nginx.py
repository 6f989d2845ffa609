"""nginx, as the upstream of everyone and as one of those measured."""

import shutil
from pathlib import Path

from benchmarks.traffic import ANSWER, PATH

_FRAME = """
daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log stderr error;
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 300s;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  {content}
}}
"""
_UPSTREAM = """
  server {{
    listen 127.0.0.1:{port};
    location {path} {{ default_type application/json; return 200 '{answer}'; }}
  }}
"""
_PROXY = """
  upstream model {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://model; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
"""


def installed() -> bool:
    return shutil.which("nginx") is not None


def upstream(port: int) -> str:
    """A server whose every answer is the same."""
    return _FRAME.format(content=_UPSTREAM.format(port=port, path=PATH, answer=ANSWER.decode()))


def proxy(port: int, upstream_port: int) -> str:
    """A reverse proxy that keeps its connections."""
    return _FRAME.format(content=_PROXY.format(port=port, upstream=upstream_port))


def command(config: str, folder: Path) -> list[str]:
    """The command that runs `config` out of `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "nginx.conf"
    path.write_text(config, "utf-8")
    return [shutil.which("nginx") or "nginx", "-p", str(folder), "-e", "stderr", "-c", str(path)]
