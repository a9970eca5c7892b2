# Varnish in front of the origin, with nothing but its built-in rules: the cheapest path to a hit. The benchmark
# fills in what stands in double braces, and passes the parameters (benches/peers/fleet.rs).

vcl 4.1;

backend origin {
    .host = "{{host}}";
    .port = "{{port}}";
}
