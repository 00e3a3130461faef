"""What a certificate says, for a reader who has not seen one.  Pure."""

from cryptography import x509
from cryptography.x509.oid import NameOID


def said(certificate: x509.Certificate, *, signed_by: bytes) -> str:
    """Return what a party's certificate says, one thing a line.  Its signer has the certificate `signed_by`, in PEM.

    Raises `InvalidSignature` or `ValueError` if somebody else has signed it.
    """
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(signed_by))
    extensions = certificate.extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    valid = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    [signer] = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    lines = {
        "SPIFFE ID": ", ".join(names.get_values_for_type(x509.UniformResourceIdentifier)),
        "host name": ", ".join(names.get_values_for_type(x509.DNSName)),
        "valid for": f"{valid.total_seconds():.0f} s",
        "signed by": str(signer.value).rpartition(" ")[0],  # without the number that makes each run's name another
        "may sign others": "yes" if extensions.get_extension_for_class(x509.BasicConstraints).value.ca else "no",
    }
    return "\n".join(f"{name:<16} {value}" for name, value in lines.items())
