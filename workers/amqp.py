"""How is a RabbitMQ reached that an amqp:// or amqps:// URL names?"""

from __future__ import annotations

import ssl
from urllib.parse import parse_qsl, urlencode, urlsplit

import pika

from lifecycle.settings import CA_OPTION


def parameters_of(url: str) -> pika.URLParameters:
    """What pika makes of the URL, and with TLS the option that names an authority's file, as Redis has it.

    Certificates are always verified, and so is that they are of the host that is named.
    Raises ValueError for options that make no sense.
    """
    parts = urlsplit(url)
    options = parse_qsl(parts.query, keep_blank_values=True)
    files = [value for name, value in options if name == CA_OPTION]
    left = urlencode([(name, value) for name, value in options if name != CA_OPTION])
    parameters = pika.URLParameters(parts._replace(query=left).geturl())
    if files:
        if parts.scheme != "amqps":
            raise ValueError(f"{CA_OPTION} is for amqps://")
        context = ssl.create_default_context(cafile=files[-1])
        parameters.ssl_options = pika.SSLOptions(context, parameters.host)
    return parameters
