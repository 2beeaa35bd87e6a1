"""What the SDK of Azure raises, and what we raise for it."""

from azure.core import exceptions as azure

from chat.errors import BadProviderReply, ProviderTimeout, ProviderUnavailable
from chat.providers.azure_inference import ERRORS
from chat.providers.reply_stream import translated


def test_every_exception_of_the_sdk_has_its_error():
    raised = {each for each in vars(azure).values() if isinstance(each, type) and issubclass(each, Exception)}
    assert raised - set(ERRORS) == set()


def test_the_nearest_base_class_of_an_exception_counts():
    class Unheard(azure.ServiceRequestTimeoutError):
        pass

    assert isinstance(translated(Unheard("?"), ERRORS), ProviderUnavailable)
    assert isinstance(translated(azure.IncompleteReadError("?"), ERRORS), BadProviderReply)
    assert isinstance(translated(TimeoutError(), ERRORS), ProviderTimeout)
    assert isinstance(translated(ConnectionResetError(), ERRORS), ProviderUnavailable)
