"""The JVM side of Flink: the jars, and how a class of them is started."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from tests.runners.engines.cache import cached, run_tool

TOOLS = ("java", "javac", "mvn")
_POM = Path(__file__).parents[1] / "pom.xml"
# What Flink 1.16 reaches into and Java 17 hides.
_OPENED = (
    "java.lang",
    "java.lang.invoke",
    "java.lang.reflect",
    "java.io",
    "java.net",
    "java.nio",
    "java.text",
    "java.time",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
)


def flink_jars() -> Path:
    """Folder with Flink, Beam's job server and all that they need. Raises UnavailableError when they cannot be fetched."""
    digest = hashlib.sha256(_POM.read_bytes()).hexdigest()[:16]

    def fetch(into: Path) -> None:
        command = ["mvn", "--quiet", "--batch-mode", "--file", str(_POM), "dependency:copy-dependencies"]
        run_tool([*command, "-DincludeScope=runtime", f"-DoutputDirectory={into}"])

    return cached(f"flink-{digest}", fetch)


def java(jars: Path, tmp: Path, heap_mb: int, main: str | Path, options: Sequence[str] = ()) -> list[str]:
    """The start of a command line that runs a main class, or a file of source, with all jars."""
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED]
    # Processes that live for a minute gain nothing from the better compiler, and two cores have no time for it.
    fast = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]
    logged = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=info", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
    exported = "--add-exports=java.base/sun.net.util=ALL-UNNAMED"
    memory = [f"-Xmx{heap_mb}m", f"-Djava.io.tmpdir={tmp}"]
    return ["java", *memory, *fast, *logged, exported, *opened, *options, "-cp", f"{jars}/*", str(main)]
