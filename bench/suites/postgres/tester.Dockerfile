ARG IMAGE
FROM $IMAGE
USER root
COPY source /usr/local/bin/
RUN source postgresql-15 postgresql-15 gcc libc6-dev postgresql-server-dev-15
RUN cd /suite/src/test/regress \
    && gcc -O2 -shared -fPIC -I"$(pg_config --includedir-server)" -o regress.so regress.c \
    && cp "$(pg_config --pkglibdir)/autoinc.so" "$(pg_config --pkglibdir)/refint.so" . \
    && chmod -R a+rwX /suite/src/test
COPY postgres/run /usr/local/bin/
