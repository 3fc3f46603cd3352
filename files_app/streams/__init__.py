"""The byte path of an upload: small iterators that know neither database nor provider."""
