ARG IMAGE
FROM $IMAGE
USER root
COPY source inside /usr/local/bin/
RUN source php8.4 php8.4-cli
COPY php/run /usr/local/bin/
