ARG IMAGE
FROM $IMAGE
USER root
COPY source inside /usr/local/bin/
RUN source redis redis-server tcl procps
COPY redis/run /usr/local/bin/
