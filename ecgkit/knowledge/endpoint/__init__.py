"""The extractor by a language model behind any OpenAI-compatible endpoint: asked once a text, resumable, cached."""
