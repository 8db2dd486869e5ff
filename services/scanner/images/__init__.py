"""Where image bytes come from: registries and layouts behind one interface."""
