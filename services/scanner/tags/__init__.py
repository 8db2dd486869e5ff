"""Tags as last seen: their order where it is in doubt, and many reads as one."""
