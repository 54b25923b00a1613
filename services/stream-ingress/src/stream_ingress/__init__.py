"""stream-ingress: owns one Twilio media socket a call and speaks only NATS behind it."""
