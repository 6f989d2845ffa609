import shutil
import sys
from pathlib import Path

import pytest

# The rig is also started as modules by its own processes.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def redis_server():
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
