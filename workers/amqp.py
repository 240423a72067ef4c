"""How is a RabbitMQ reached that an amqp:// or amqps:// URL names?"""

from __future__ import annotations

import ssl
from urllib.parse import parse_qsl, urlencode, urlsplit

import pika
import pika.exceptions
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from lifecycle.settings import CA_OPTION, CERT_OPTION, CERTIFICATE_OPTIONS, KEY_OPTION

FAILURES = (pika.exceptions.AMQPError, AMQPConnectorException, OSError)
"""By what pika says that a server does not answer; the second is raised by one that says nothing."""


def parameters_of(url: str) -> pika.URLParameters:
    """What pika makes of the URL, and with TLS the options that name certificates, as Redis has them.

    Certificates are always verified, and so is that they are of the host that is named.
    Raises ValueError for options that make no sense.
    """
    parts = urlsplit(url)
    options = parse_qsl(parts.query, keep_blank_values=True)
    files = {name: value for name, value in options if name in CERTIFICATE_OPTIONS}
    left = urlencode([(name, value) for name, value in options if name not in files])
    parameters = pika.URLParameters(parts._replace(query=left).geturl())
    if files:
        if parts.scheme != "amqps":
            raise ValueError(f"{', '.join(files)}: for amqps://")
        context = ssl.create_default_context(cafile=files.get(CA_OPTION))
        if CERT_OPTION in files:
            context.load_cert_chain(files[CERT_OPTION], files.get(KEY_OPTION))
        parameters.ssl_options = pika.SSLOptions(context, parameters.host)
    return parameters
