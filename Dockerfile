# One base, and from it one image for each party.  Which code is in an image decides who it can be: attestation compares
# every file of a running container with the base as it was built, and with registry.lock.
# COPY sets the mode, because the images' user reads what a checkout may hold for its owner alone (umask 077).
# The user and group 47823 are shared by attestation and all parties, and by nobody on the machine: docs/how-to/containers.md.

# What everything is built on, each image by its digest: what a tag alone names would be trusted on first sight.
# A variable of the same name takes the place of one, such as for a mirror (docs/how-to/containers.md, "Settings").
ARG ZT_IMAGE_PYTHON=python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
ARG ZT_IMAGE_KEYCLOAK=quay.io/keycloak/keycloak:26.7.5@sha256:37dbaf6f0722c9ec246335f36e1ef8b2e6cb960f7c27e0d8c615121a3d475a85
ARG ZT_IMAGE_POSTGRES=postgres:17@sha256:d74eeac9a635390a49bc21bd49fccd973de707e2a53a76ac49b552b8712ec46f

FROM ${ZT_IMAGE_PYTHON} AS packages
COPY --chmod=755 locks/requirements.run.lock /
RUN pip install --no-cache-dir --no-compile --require-hashes --target /packages -r /requirements.run.lock && rm -rf /packages/bin

# What inference alone has besides: the client of a model server.
FROM ${ZT_IMAGE_PYTHON} AS packages-of-inference
COPY --chmod=755 locks/requirements.inference.lock /
RUN pip install --no-cache-dir --no-compile --no-deps --require-hashes --target /packages -r /requirements.inference.lock && rm -rf /packages/bin \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /packages -p /app/packages /packages

FROM ${ZT_IMAGE_PYTHON} AS base
RUN echo 'agents:x:47823:47823::/nonexistent:/usr/sbin/nologin' >> /etc/passwd && echo 'agents:x:47823:' >> /etc/group \
 && for folder in /data /keys /run/identity /public /keycloak-tls /setup /setup/keycloak /setup/database /setup/llama-stack /registry /accounts; do \
      install -d -o 47823 -g 47823 -m 750 "$folder"; done && chmod 755 /run/identity /public /setup /setup/database
COPY --from=packages /packages/ /usr/local/lib/python3.13/site-packages/
# Bytecode is measured like everything else, so it need not be compared with its source at each start.
# Some files of the standard library's own tests do not compile, which is no failure.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /usr/local/lib/python3.13 $(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') || true

# Measured as the user that will measure it again, so that both find the same.
FROM base AS pin
COPY --chmod=755 authorities/attestation/verifier /data/authorities/attestation/verifier
COPY --chmod=755 authorities/attestation/containers /data/authorities/attestation/containers
WORKDIR /data
USER 47823:47823
RUN python -B -m authorities.attestation.containers.image /data/base.json
COPY --from=packages-of-inference /packages /app/packages
RUN python -B -m authorities.attestation.containers.image /data/inference.packages.json /app/packages

FROM base AS code
ARG CODE
ARG WITHOUT
COPY --chmod=755 zerotrust /app/zerotrust
COPY --chmod=755 ${CODE} /app/${CODE}
RUN cd /app && rm -rf ${WITHOUT}

FROM base AS party
ARG CODE
COPY --from=code /app /app
RUN printf 'import runpy, sys\n\nsys.path.append("/app/packages")\nrunpy.run_module("%s.main", run_name="__main__", alter_sys=True)\n' "$(echo ${CODE} | tr / .)" > /app/__main__.py
USER 47823:47823
CMD ["python", "-I", "-B", "-u", "/app"]

# It reads files besides its code: what it publishes.
FROM party AS registry
COPY --chmod=755 registry.yaml registry.lock /app/
COPY --chmod=755 start/containers.yaml /app/start/

# What the policy authority signs as its first version.
FROM party AS policy
COPY --chmod=755 policies /app/policies

# The one party with a second volume: the published log, which others read.  A new volume has the rights of its folder here.
FROM party AS audit
USER 0:0
RUN install -d -o 47823 -g 47823 -m 700 /data/log
USER 47823:47823

# The one party with packages of its own.
FROM party AS inference
COPY --from=packages-of-inference /packages /app/packages

FROM base AS attestation
COPY --chmod=755 zerotrust /app/zerotrust
COPY --chmod=755 authorities /app/authorities
COPY --chmod=755 policies /app/policies
COPY --chmod=755 registry.yaml registry.lock /app/
COPY --chmod=755 start/containers.yaml /app/start/
COPY --from=pin /data/base.json /data/inference.packages.json /app/
RUN printf 'import runpy\n\nrunpy.run_module("authorities.attestation.containers.main", run_name="__main__", alter_sys=True)\n' > /app/__main__.py
USER 47823:47823
CMD ["python", "-I", "-B", "-u", "/app"]

# The Llama Stack server of start/compose.llama-stack.yaml.  It is no party: it has no code of ours, no identity, and a user of
# its own, who cannot read what belongs to the parties.
FROM ${ZT_IMAGE_PYTHON} AS packages-of-ogx
COPY --chmod=755 locks/requirements.ogx.lock /
RUN pip install --no-cache-dir --no-compile --require-hashes --target /packages -r /requirements.ogx.lock && rm -rf /packages/bin

FROM ${ZT_IMAGE_PYTHON} AS llama-stack
RUN echo 'ogx:x:47824:47824::/nonexistent:/usr/sbin/nologin' >> /etc/passwd && echo 'ogx:x:47824:' >> /etc/group
COPY --from=packages-of-ogx /packages/ /usr/local/lib/python3.13/site-packages/
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash /usr/local/lib/python3.13/site-packages || true
ENV OGX_CONFIG_DIR=/tmp/ogx
USER 47824:47824
CMD ["python", "-I", "-B", "-u", "-m", "ogx.cli.ogx", "run", "/setup/config.json"]

# The model behind it until somebody names another one: our script.
FROM base AS scripted-model
COPY --chmod=755 zerotrust /app/zerotrust
COPY --chmod=755 inference /app/inference
COPY --chmod=755 start/scripted_model.py /app/__main__.py
USER 47824:47824
CMD ["python", "-I", "-B", "-u", "/app", "0.0.0.0", "8080"]

# What people run: `setup`, `walkthrough` and `zt`.  It has no identity.
FROM base AS tools
WORKDIR /app
COPY --chmod=755 registry.yaml registry.lock ./
COPY --chmod=755 zerotrust ./zerotrust
COPY --chmod=755 evidence ./evidence
COPY --chmod=755 zt ./zt
COPY --chmod=755 testkit ./testkit
COPY --chmod=755 demo ./demo
COPY --chmod=755 start ./start
COPY --chmod=755 registration ./registration
COPY --chmod=755 authorities ./authorities
COPY --chmod=755 policies ./policies
COPY --chmod=755 keycloak-realm ./keycloak-realm
USER 47823:47823
ENTRYPOINT ["python", "-B", "-m"]

FROM base AS mapper
COPY --chmod=755 keycloak-realm /app/keycloak-realm
COPY --chmod=755 registration /app/registration
COPY --chmod=755 authorities /app/authorities
COPY --chmod=755 zerotrust /app/zerotrust
WORKDIR /app
RUN python -B -c "from pathlib import Path; from registration.realm.script import SCRIPTS, build_jar; Path('/jars').mkdir(); [build_jar(one, Path(f'/jars/{one.stem}.jar')) for one in SCRIPTS]"

FROM ${ZT_IMAGE_KEYCLOAK} AS keycloak-options
ENV KC_DB=postgres KC_CACHE=local KC_FEATURES=scripts,spiffe KC_HEALTH_ENABLED=true KC_HTTPS_CLIENT_AUTH=request

FROM keycloak-options AS keycloak-built
COPY --from=mapper /jars/ /opt/keycloak/providers/
RUN /opt/keycloak/bin/kc.sh build

# Of the build only what it made: it writes 170 MB of libraries anew, unchanged.
FROM keycloak-options AS keycloak
COPY --from=keycloak-built /opt/keycloak/lib/quarkus/ /opt/keycloak/lib/quarkus/
COPY --from=mapper /jars/ /opt/keycloak/providers/

# Its folder is the database's own from the beginning, so that nothing has to start as root.
FROM ${ZT_IMAGE_POSTGRES} AS database
RUN install -d -o postgres -g postgres -m 700 /var/lib/postgresql/data && install -d -o postgres -g postgres -m 3777 /run/postgresql
USER postgres

# Only start/compose.intruders.yaml builds what follows: intruders that act as genuine workloads, and the attestation that
# gives them identities.
FROM party AS intruder
ARG INSIDE
USER 0:0
RUN printf %s "${INSIDE}" > /app/inside
USER 47823:47823

FROM attestation AS attestation-with-intruders
COPY --chmod=755 lab/compromised_workload /app/lab/compromised_workload
COPY --chmod=755 lab/containers /app/lab/containers
COPY --chmod=755 registration /app/registration
USER 0:0
RUN sed -i 's/authorities.attestation.containers.main/lab.containers.attestation/' /app/__main__.py
USER 47823:47823
