"""Which currencies are there, and how many decimals does money in each of them have? (ISO 4217)"""

from __future__ import annotations

# By number of minor units. Active codes of ISO 4217; those at the end of a line after `|` were
# withdrawn since 2017 and stay, because the histories of customers still name them. Left out:
# metals, test codes and other units that are no money in anybody's pocket (XAU, XDR, XTS, XXX …).
_CODES_BY_MINOR_UNITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD "
        "CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP "
        "GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK "
        "LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO "
        "NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS "
        "SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST "
        "XAD XCD XCG YER ZAR ZMW ZWG | ANG BGN CUC HRK MRO SLL STD VEF ZWL"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

_MINOR_UNITS = {
    code: units
    for units, codes in _CODES_BY_MINOR_UNITS.items()
    for code in codes.split()
    if code != "|"
}

CURRENCIES = tuple(sorted(_MINOR_UNITS))


def minor_units(code: str) -> int | None:
    """How many decimals an amount in this currency may have; None: no such currency.

    Codes are upper-case; what is not upper-case is no code.
    """
    return _MINOR_UNITS.get(code)
