"""Proxies that let TCP clients and servers without RSerPool support use and join pools."""
