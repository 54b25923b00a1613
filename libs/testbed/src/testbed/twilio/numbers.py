"""The numbers of the simulated account, as REST shows and changes them.

Served beside the calls. A change is kept and has no effect on the simulated phone, whose account
says where its calls lead.
"""

from dataclasses import dataclass, field

from testbed.twilio.forms import API_VERSION

FIELDS = {
    "VoiceUrl": "voice_url",
    "VoiceMethod": "voice_method",
    "VoiceFallbackUrl": "voice_fallback_url",
    "VoiceFallbackMethod": "voice_fallback_method",
    "StatusCallback": "status_callback",
    "StatusCallbackMethod": "status_callback_method",
}
"""Parameters of an update and the fields that they set."""


@dataclass
class Numbers:
    """The account's numbers: E.164 -> what is set on it. A new one has Twilio's defaults."""

    account_sid: str
    owned: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    updates: int = 0

    def own(self, number: str) -> str:
        """Have this number; its sid."""
        self.owned[number] = {
            "voice_url": "https://demo.twilio.com/welcome/voice/",
            "voice_method": "POST",
            "voice_fallback_url": "",
            "voice_fallback_method": "POST",
            "status_callback": "",
            "status_callback_method": "POST",
        }
        return self.sid(number)

    def sid(self, number: str) -> str:
        """The sid of a number."""
        return f"PN{number.removeprefix('+').zfill(32)}"

    def find(self, sid: str) -> str | None:
        """The number of a sid."""
        return next((number for number in self.owned if self.sid(number) == sid), None)

    def update(self, number: str, form: dict[str, list[str]]) -> None:
        """Set what the form names."""
        self.updates += 1
        for name, values in form.items():
            self.owned[number][FIELDS[name]] = values[0]

    def json(self, number: str) -> dict[str, object]:
        """One number as REST shows it."""
        sid = self.sid(number)
        return {
            "sid": sid,
            "account_sid": self.account_sid,
            "friendly_name": number,
            "phone_number": number,
            "api_version": API_VERSION,
            "capabilities": {"voice": True, "SMS": False, "MMS": False, "fax": False},
            "origin": "twilio",
            "status": "in-use",
            "uri": f"/{API_VERSION}/Accounts/{self.account_sid}/IncomingPhoneNumbers/{sid}.json",
            **self.owned[number],
        }
