"""What at least two services share. It imports no service; a thing enters when a second one needs it."""
