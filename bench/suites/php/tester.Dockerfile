ARG IMAGE
FROM $IMAGE
USER root
COPY source inside /usr/local/bin/
RUN source php8.2 php8.2-cli
COPY php/run /usr/local/bin/
