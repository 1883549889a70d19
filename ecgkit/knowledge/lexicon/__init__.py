"""The offline extractor: terms, abbreviations, negation and uncertainty, in English, German and basic Swedish."""
