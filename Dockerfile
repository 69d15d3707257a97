FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MAILHUB_DATA_DIR=/data

WORKDIR /app
COPY requirements.txt requirements-scale.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes \
        -r requirements.txt -r requirements-scale.txt
COPY . .
RUN useradd --uid 10001 --home-dir /data --shell /usr/sbin/nologin mailhub \
    && install -d -o mailhub -g mailhub -m 0700 /data \
    && python -m compileall -q .

USER mailhub
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "manage.py"]
CMD ["serve", "--host", "0.0.0.0"]
