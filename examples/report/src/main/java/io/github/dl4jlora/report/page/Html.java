package io.github.dl4jlora.report.page;

import java.util.List;

/** Pieces of HTML. */
final class Html {

    private Html() {
    }

    static String escaped(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;");
    }

    /** A layer's name, which may break after its dots. */
    static String name(String layer) {
        return escaped(layer).replaceAll("([./_])", "$1<wbr>");
    }

    /**
     * A table whose first column names its rows.
     *
     * @param head    texts
     * @param numeric by column, whether it holds figures
     * @param rows    HTML
     */
    static String table(String caption, List<String> head, List<Boolean> numeric, List<List<String>> rows) {
        StringBuilder html = new StringBuilder("<table><caption>").append(escaped(caption)).append("</caption><thead><tr>");
        for (int i = 0; i < head.size(); i++) {
            html.append("<th scope=\"col\"").append(figures(numeric.get(i))).append('>').append(escaped(head.get(i)))
                    .append("</th>");
        }
        html.append("</tr></thead><tbody>\n");
        for (List<String> row : rows) {
            html.append("<tr><th scope=\"row\">").append(row.get(0)).append("</th>");
            for (int i = 1; i < row.size(); i++) {
                html.append("<td").append(figures(numeric.get(i))).append(" data-of=\"").append(escaped(head.get(i)))
                        .append("\">").append(row.get(i)).append("</td>");
            }
            html.append("</tr>\n");
        }
        return html.append("</tbody></table>\n").toString();
    }

    private static String figures(boolean numeric) {
        return numeric ? " class=\"n\"" : "";
    }
}
