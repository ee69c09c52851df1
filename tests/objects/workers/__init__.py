"""Tests of classes that were written for Cloudflare's Python Workers."""
