package io.github.dl4jlora.browser;

import org.apache.pdfbox.Loader;
import org.apache.pdfbox.pdmodel.PDDocument;
import org.apache.pdfbox.rendering.PDFRenderer;
import org.apache.pdfbox.text.PDFTextStripper;
import org.nd4j.shade.jackson.databind.JsonNode;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.StreamSupport;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

/**
 * Looks at a page in a browser: on a screen and a phone, in light and dark, and on paper, as a user prints it. What is found is
 * told in a sentence each.
 */
public final class PageCheck {

    private static final int[] WIDTHS = {1280, 390};
    private static final int HEIGHT = 900;
    /** A phone's screen is scaled down for a page that does not ask for the phone's own width. */
    private static final int PHONE = 600;
    /** Elements that reach over the window's edge, text that reaches over its box, and letters that leave their picture. */
    private static final String OVERFLOW = """
            (() => {
              const found = [], wide = document.documentElement.clientWidth;
              const name = e => e.tagName.toLowerCase() + (e.getAttribute('class') ? '.' + e.getAttribute('class') : '')
                  + ' "' + e.textContent.trim().slice(0, 30) + '"';
              if (wide != WIDTH) found.push('the page is laid out for ' + wide + ' px');
              if (document.documentElement.scrollWidth > wide)
                found.push('the page is ' + document.documentElement.scrollWidth + ' px wide');
              for (const e of document.body.querySelectorAll('*')) {
                const box = e.getBoundingClientRect(), style = getComputedStyle(e);
                if (!box.width || e.closest('caption')) continue;
                const picture = e.closest('svg');
                if (picture && picture != e) {
                  const frame = picture.getBoundingClientRect();
                  if (e.tagName == 'use' && (box.left < frame.left - 1 || box.right > frame.right + 1
                      || box.top < frame.top - 1 || box.bottom > frame.bottom + 1))
                    found.push('a letter leaves its picture');
                  continue;
                }
                if (box.right > wide + 1 || box.left < -1) found.push(name(e) + ' reaches from ' + box.left + ' to ' + box.right);
                else if (style.display != 'inline' && e.clientWidth && e.scrollWidth > e.clientWidth + 1)
                  found.push(name(e) + ' holds ' + e.scrollWidth + ' px in ' + e.clientWidth);
              }
              return found;
            })()""";
    private static final String OPEN_DETAILS = "document.querySelectorAll('details').forEach(d => d.open = OPEN)";
    private static final String FOLDED = "[...document.querySelectorAll('details > :not(summary)')].flatMap(e => "
            + "[...(e.querySelectorAll('td, th, li').length ? e.querySelectorAll('tbody td, tbody th, li') : [e])]"
            + ".map(c => c.innerText || c.textContent))";
    /** A number at the end of each heading, and the same one after the first chart below it in its section. */
    private static final String MARKS = """
            (() => {
              const charts = [...document.querySelectorAll('svg[role=img], .of')];
              document.querySelectorAll('h1, h2, h3').forEach((h, i) => {
                h.append('\u00b6' + i + ';');
                const chart = charts.find(c => h.closest('section') == c.closest('section')
                    && (c.contains(h) || h.compareDocumentPosition(c) & Node.DOCUMENT_POSITION_FOLLOWING));
                if (chart) chart.insertAdjacentHTML(chart.tagName == 'svg' ? 'afterend' : 'beforeend', '\u00a4' + i + ';');
              });
            })()""";
    private static final Pattern HEADING = Pattern.compile("([^\\n]*)\u00b6(\\d+);");
    /** Bars of which something must be seen on paper; narrower ones are a matter of pixels. */
    private static final String BARS = "[...document.querySelectorAll('.bar')]"
            + ".filter(b => b.getBoundingClientRect().width > 60).length";
    /** Enough to tell that a text is there, whatever its columns do to it on paper. */
    private static final int TELLING = 8;
    /** In points: no line is as thick, no bar as thin. */
    private static final int BAR_LONG = 20;
    private static final int BAR_HIGH = 5;
    private static final int COLOURFUL = 60;

    private final Chromium browser;
    private final URI page;
    private final List<String> found = new ArrayList<>();

    private PageCheck(Chromium browser, URI page) {
        this.browser = browser;
        this.page = page;
    }

    /** Of one file, in a browser of its own; skips the test where none is installed. */
    public static List<String> of(Path page) throws Exception {
        Path program = Chromium.installed().orElse(null);
        assumeTrue(program != null, "no Chromium on the PATH: install it (apt-get install chromium) to look at reports");
        try (Chromium browser = new Chromium(program)) {
            return of(browser, page);
        }
    }

    /** Of a file, which may ask for nothing else. */
    public static List<String> of(Chromium browser, Path page) throws IOException {
        return of(browser, page.toUri());
    }

    /** Of any page, which may ask whence it comes for more. */
    public static List<String> of(Chromium browser, URI page) throws IOException {
        PageCheck check = new PageCheck(browser, page);
        for (int width : WIDTHS) {
            for (String colours : List.of("light", "dark")) {
                check.onScreen(width, colours);
            }
        }
        check.onPaper();
        return check.found;
    }

    private void onScreen(int width, String colours) throws IOException {
        String where = width + " px, " + colours + ": ";
        view(browser, width, colours);
        for (JsonNode event : browser.open(page)) {
            complaint(event).ifPresentOrElse(words -> found.add(where + "the console says " + words),
                    () -> request(event, where));
        }
        for (boolean open : new boolean[] {false, true}) {
            browser.script(OPEN_DETAILS.replace("OPEN", String.valueOf(open)));
            browser.script(OVERFLOW.replace("WIDTH", String.valueOf(width))).forEach(what ->
                    found.add(where + what.asText()));
        }
    }

    public static void view(Chromium browser, int width, String colours) throws IOException {
        browser.ask("Emulation.setDeviceMetricsOverride", Map.of("width", width, "height", HEIGHT, "deviceScaleFactor", 1,
                "mobile", width < PHONE));
        browser.ask("Emulation.setEmulatedMedia", Map.of("features",
                List.of(Map.of("name", "prefers-color-scheme", "value", colours))));
    }

    private static Optional<String> complaint(JsonNode event) {
        JsonNode params = event.get("params");
        return Optional.ofNullable(switch (event.get("method").asText()) {
            case "Runtime.exceptionThrown" -> params.at("/exceptionDetails/exception/description").asText();
            case "Runtime.consoleAPICalled" -> Set.of("error", "warning", "assert").contains(params.get("type").asText())
                    ? params.get("args").toString() : null;
            case "Log.entryAdded" -> Set.of("error", "warning").contains(params.at("/entry/level").asText())
                    ? params.at("/entry/text").asText() : null;
            default -> null;
        });
    }

    private void request(JsonNode event, String where) {
        if (event.get("method").asText().equals("Network.requestWillBeSent")) {
            String url = event.at("/params/request/url").asText();
            boolean isFromThere = page.getScheme().startsWith("http") && url.startsWith(page.resolve("/").toString());
            if (!url.equals(page.toString()) && !url.startsWith("data:") && !isFromThere) {
                found.add(where + "it asks for " + url);
            }
        }
    }

    private void onPaper() throws IOException {
        view(browser, WIDTHS[0], "dark");
        browser.open(page);
        browser.script(MARKS);
        List<String> folded = texts(FOLDED);
        int bars = browser.script(BARS).asInt();
        try (PDDocument paper = Loader.loadPDF(pdf(browser))) {
            String all = squeezed(new PDFTextStripper().getText(paper));
            folded.stream().map(PageCheck::squeezed).map(text -> text.substring(0, Math.min(TELLING, text.length())))
                    .filter(text -> !all.contains(text)).findFirst()
                    .ifPresent(text -> found.add("paper: \"" + text + "\" stays folded"));
            for (int number = 1; number <= paper.getNumberOfPages(); number++) {
                String text = text(paper, number);
                HEADING.matcher(text).results().forEach(heading -> {
                    String name = "paper: the heading \"" + heading.group(1) + "\" ";
                    if (text.strip().endsWith(heading.group())) {
                        found.add(name + "stands alone at a page's foot");
                    }
                    String chart = "\u00a4" + heading.group(2) + ";";
                    if (all.contains(chart) && !text.contains(chart)) {
                        found.add(name + "is on another page than its chart");
                    }
                });
            }
            if (isPale(new PDFRenderer(paper).renderImage(0))) {
                found.add("paper: the dark page's pale letters are printed on white");
            }
            int seen = bars(paper);
            if (seen < bars) {
                found.add("paper: of " + bars + " bars " + seen + " are printed");
            }
        }
    }

    /** As a user prints it: without backgrounds. */
    public static byte[] pdf(Chromium browser) throws IOException {
        return Base64.getDecoder().decode(browser.ask("Page.printToPDF", Map.of("preferCSSPageSize", true, "paperWidth", 8.27,
                "paperHeight", 11.69)).get("data").asText());
    }

    public static void picture(Chromium browser, Path file) throws IOException {
        Files.write(file, Base64.getDecoder().decode(browser.ask("Page.captureScreenshot",
                Map.of("captureBeyondViewport", true)).get("data").asText()));
    }

    private List<String> texts(String expression) throws IOException {
        return StreamSupport.stream(browser.script(expression).spliterator(), false).map(JsonNode::asText)
                .filter(text -> !text.isBlank()).toList();
    }

    private static String squeezed(String text) {
        return text.replaceAll("[\\s\\u200b]+", "");
    }

    private static String text(PDDocument paper, int page) throws IOException {
        PDFTextStripper stripper = new PDFTextStripper();
        stripper.setSortByPosition(true);
        stripper.setStartPage(page);
        stripper.setEndPage(page);
        return stripper.getText(paper);
    }

    /** Blocks of colour, longer and higher than any line. */
    private static int bars(PDDocument paper) throws IOException {
        int bars = 0;
        PDFRenderer renderer = new PDFRenderer(paper);
        for (int number = 0; number < paper.getNumberOfPages(); number++) {
            BufferedImage image = renderer.renderImage(number);
            for (int y = 1; y < image.getHeight() - BAR_HIGH; y++) {
                for (int x = 1; x < image.getWidth() - BAR_LONG; x++) {
                    if (isBlock(image, x, y) && !isBlock(image, x - 1, y) && !isBlock(image, x, y - 1)) {
                        bars++;
                    }
                }
            }
        }
        return bars;
    }

    /** Whether there is no dark point. */
    private static boolean isPale(BufferedImage image) {
        for (int y = 0; y < image.getHeight(); y++) {
            for (int x = 0; x < image.getWidth(); x++) {
                if ((image.getRGB(x, y) & 0x808080) == 0) {
                    return false;
                }
            }
        }
        return true;
    }

    private static boolean isBlock(BufferedImage image, int left, int top) {
        int colour = image.getRGB(left, top);
        int most = Math.max(colour >> 16 & 255, Math.max(colour >> 8 & 255, colour & 255));
        int least = Math.min(colour >> 16 & 255, Math.min(colour >> 8 & 255, colour & 255));
        if (most - least < COLOURFUL) {
            return false;
        }
        for (int y = top; y < top + BAR_HIGH; y++) {
            for (int x = left; x < left + BAR_LONG; x++) {
                if (image.getRGB(x, y) != colour) {
                    return false;
                }
            }
        }
        return true;
    }
}
