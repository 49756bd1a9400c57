package io.github.dl4jlora.report.page;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * XChart draws letters as outlines, the same ones in every chart. Here each is stored once for the whole page, and the charts
 * refer to it, which makes a page of many charts much smaller.
 */
final class Outlines {

    private static final Pattern PATH = Pattern.compile("<path d=\"([^\"]{60,})\" style=\"(fill:[^\"]*stroke:none;)\"/>");

    private final Map<String, String> ids = new LinkedHashMap<>();

    String shared(String svg) {
        return PATH.matcher(svg).replaceAll(path -> "<use href=\"#"
                + ids.computeIfAbsent(path.group(1), outline -> "o" + ids.size()) + "\" style=\"" + path.group(2) + "\"/>");
    }

    /** The outlines, which the page must contain beside the charts. */
    String definitions() {
        StringBuilder svg = new StringBuilder("<svg class=\"outlines\" aria-hidden=\"true\"><defs>");
        ids.forEach((outline, id) -> svg.append("<path id=\"").append(id).append("\" d=\"").append(outline).append("\"/>"));
        return svg.append("</defs></svg>\n").toString();
    }
}
