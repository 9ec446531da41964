# SPDX-License-Identifier: Apache-2.0
"""Stands in for the package's build backend while pip downloads its source: see build.py."""
