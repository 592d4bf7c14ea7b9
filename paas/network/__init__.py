"""The network: routed veth links, one nftables table, stable virtual addresses."""
