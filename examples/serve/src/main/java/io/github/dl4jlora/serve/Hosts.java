package io.github.dl4jlora.serve;

import io.javalin.http.Context;
import org.eclipse.jetty.util.HostPort;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * The host names that the service answers to. A malicious page can make its own name lead to this machine, and its visitor's
 * browser then takes the service for the page's own server (DNS rebinding); but the browser sends the name in {@code Host}.
 */
final class Hosts {

    /** Stands for any name. */
    static final String ANY = "*";

    private static final List<String> LOCAL = List.of("localhost", "127.0.0.1", "[::1]");
    /** An address is not a name, so nobody can make it lead elsewhere. */
    private static final Pattern ADDRESS = Pattern.compile("\\d{1,3}(\\.\\d{1,3}){3}|\\[[0-9a-f:.]+]");

    /** As Host has names; other scripts come in ASCII. */
    private static final Pattern NAME = Pattern.compile("[a-z0-9_][a-z0-9_.-]*|\\[[0-9a-f:.]+]");

    private final Set<String> names = new HashSet<>(LOCAL);
    private final boolean addresses;

    /**
     * @param host    where the service listens; it also answers to addresses, unless only this machine can reach it
     * @param allowed further names, or {@link #ANY}; with or without a port, which is ignored
     */
    Hosts(String host, List<String> allowed) {
        names.add(normal(host));
        allowed.forEach(name -> names.add(host(name)));
        addresses = !isLoopback(host);
    }

    /**
     * Checks a name that the service is to answer to.
     *
     * @throws IllegalArgumentException if no request's Host can be that
     */
    static void requireName(String name) {
        if (!name.equals(ANY) && !NAME.matcher(host(name)).matches()) {
            throw new IllegalArgumentException("\"" + name + "\", which no request has as its Host: names are compared as a "
                    + "whole. Give a name such as models.example.com for each, or * for any");
        }
    }

    private static boolean isLoopback(String host) {
        try {
            return InetAddress.getByName(host).isLoopbackAddress();
        } catch (UnknownHostException e) {
            // Nobody can listen there either, and the attempt says so.
            return false;
        }
    }

    private static String normal(String host) {
        String name = host.toLowerCase(Locale.ROOT);
        return name.contains(":") && !name.startsWith("[") ? "[" + name + "]" : name;
    }

    /** @throws Problem 421 if the request was meant for another host */
    void require(Context request) {
        // Both what a browser sends, and what counts in HTTP if the first line has a complete address.
        String told = request.header("Host");
        if (told != null) {
            require(host(told));
            require(normal(request.req().getServerName()));
        }
    }

    private static String host(String told) {
        try {
            return normal(new HostPort(told).getHost());
        } catch (IllegalArgumentException e) {
            return told;
        }
    }

    private void require(String host) {
        if (!names.contains(host) && !names.contains(ANY) && !(addresses && ADDRESS.matcher(host).matches())) {
            throw new Problem(421, "host_not_allowed", "The request's Host is \"" + host + "\", which this service does not "
                    + "answer to. Use localhost or its address, or have the service started with --allow-host " + host);
        }
    }
}
