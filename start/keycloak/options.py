"""The options of Keycloak and its Java: addresses, and bounds on what strangers can cost."""

PORT = 8443
"""Keycloak."""
HEALTH_PORT = 9000
"""Keycloak's health, in plain http."""
URL = f"https://localhost:{PORT}"

MAX_CONNECTIONS = 500
"""Connections at Keycloak's port, from all callers.  If there are more, the newest is closed."""
THREADS = MAX_CONNECTIONS + 50
"""Keycloak's threads, and connections to its database.  A request needs one of each from head to answer, also while
its body is on the way.  A connection carries one request at a time (no HTTP/2), so as many slow requests as there can
be leave some to the others."""
MAX_BODY = 262_144
"""Bytes of a request; our realm has 21 KB.  As many as there are connections have to find room in memory."""
PATIENCE = 10
"""Seconds for the next bytes of a body.  Until then Keycloak does not notice that the sender is gone."""
IDLE = 75
"""Seconds without a byte on a connection; longer than our clients keep one (60)."""

RUN = [
    "--http-enabled=false",
    "--http-host=127.0.0.1",
    f"--https-port={PORT}",
    "--https-protocols=TLSv1.3",
    f"--hostname={URL}",
    "--http-management-scheme=http",  # health, of which nothing is secret
    f"--http-pool-max-threads={THREADS}",
    f"--db-pool-max-size={THREADS}",
    "--log-level=info,io.smallrye.health:off",  # or each answer that it is not ready yet were a line
]

LOG_SIZE = 5_000_000
"""Bytes of `keycloak.log` at which it becomes `keycloak.log.1`: strangers can have lines written."""
LOGS_KEPT = 3
"""Older logs beside it: 20 MB in all."""

_THREADS = "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory"

# What `kc.sh` gives to Java, which we start ourselves: `kc.sh` runs it in the background, where it would outlive us.
JVM = [
    "-XX:+UseSerialGC",  # on two cores it starts faster than G1
    # The optimising compiler waits four times as long as usual: a start costs 15 s of CPU instead of 20 s, and after a
    # few hundred exchanges each is as fast as ever. (Without that compiler: 11 s, but twice the time per exchange.)
    "-XX:Tier4InvocationThreshold=20000",
    "-XX:Tier4MinInvocationThreshold=2400",
    "-XX:Tier4CompileThreshold=60000",
    "-XX:Tier4BackEdgeThreshold=160000",
    "-Xms64m",
    "-Xmx512m",
    "-XX:MetaspaceSize=96M",
    "-XX:MaxMetaspaceSize=256m",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dfile.encoding=UTF-8",
    "-Dstdout.encoding=UTF-8",
    "-Dstderr.encoding=UTF-8",
    "-Duser.language=en",
    "-Duser.country=US",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    f"-Djava.util.concurrent.ForkJoinPool.common.threadFactory={_THREADS}",
    "-Dpicocli.disable.closures=true",
    "-Dquarkus-log-max-startup-records=10000",
    f"-Dquarkus.log.file.rotation.max-file-size={LOG_SIZE}",
    f"-Dquarkus.log.file.rotation.max-backup-index={LOGS_KEPT}",
    f"-Dquarkus.http.limits.max-connections={MAX_CONNECTIONS}",
    f"-Dquarkus.http.limits.max-body-size={MAX_BODY}",
    f"-Dquarkus.http.read-timeout={PATIENCE}s",
    f"-Dquarkus.http.idle-timeout={IDLE}s",
    "-Dquarkus.http.http2=false",
    "-Dquarkus.log.file.rotation.rotate-on-boot=false",  # what Java says before Keycloak logs is in the same file
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
    # Or any process of this user could have Java load its code, or write its memory to a file (`jcmd`, `jmap`).
    "-XX:+DisableAttachMechanism",
]
