package io.github.dl4jlora.benchmarks;

import java.util.List;
import java.util.Locale;

/**
 * A table of the report.
 *
 * @param note what a reader must know; may be empty
 * @param rows the first is the head
 */
record Table(String title, String note, List<List<String>> rows) {

    /** Three significant digits, or about as many. */
    static String number(double value) {
        if (Double.isNaN(value)) {
            return "absent";
        }
        return value >= 100 ? String.format(Locale.ROOT, "%.0f", value)
                : value >= 10 ? String.format(Locale.ROOT, "%.1f", value)
                : value >= 0.1 ? String.format(Locale.ROOT, "%.2f", value) : String.format(Locale.ROOT, "%.4f", value);
    }

    static String megabytes(double bytes) {
        return number(bytes / 1e6);
    }

    String markdown() {
        StringBuilder text = new StringBuilder("\n### ").append(title).append("\n\n").append(note)
                .append(note.isEmpty() ? "" : "\n\n");
        for (int i = 0; i < rows.size(); i++) {
            text.append("| ").append(String.join(" | ", rows.get(i))).append(" |\n");
            if (i == 0) {
                text.append("| --- |").append(" ---: |".repeat(rows.get(0).size() - 1)).append("\n");
            }
        }
        return text.toString();
    }

    String html() {
        StringBuilder text = new StringBuilder("<h2>").append(escaped(title)).append("</h2><p>").append(escaped(note))
                .append("</p><div class=\"wide\"><table>\n");
        for (int i = 0; i < rows.size(); i++) {
            String cell = i == 0 ? "th" : "td";
            text.append("<tr>");
            rows.get(i).forEach(value -> text.append('<').append(cell).append('>').append(escaped(value)).append("</")
                    .append(cell).append('>'));
            text.append("</tr>\n");
        }
        return text.append("</table></div>\n").toString();
    }

    private static String escaped(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
    }
}
