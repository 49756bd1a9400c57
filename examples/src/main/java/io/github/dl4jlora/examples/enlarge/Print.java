package io.github.dl4jlora.examples.enlarge;

import java.awt.Color;
import java.awt.Font;
import java.awt.FontFormatException;
import java.awt.FontMetrics;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Sets a text in typefaces, as a screen shows it: a page has one face, one size, one ink and one paper. */
final class Print {

    private static final float SMALLEST = 15;
    private static final float LARGEST = 30;
    /** Least difference of the grey values of ink and paper. */
    private static final int CONTRAST = 110;

    private final List<Font> faces;
    private final String text;

    /** @param text of words between spaces and line breaks */
    Print(List<Font> faces, String text) {
        this.faces = faces;
        this.text = text.replaceAll("\\s+", " ");
    }

    /** A page's typeface, with its size, and its colours. */
    private record Style(Font font, Color ink, Color paper) {
    }

    /**
     * @throws FileNotFoundException if one of the files is missing
     * @throws IOException           if one is not a TrueType font
     */
    static List<Font> faces(Path folder, List<String> files) throws IOException {
        List<Font> faces = new ArrayList<>();
        for (String name : files) {
            Path file = folder.resolve(name);
            if (!Files.isRegularFile(file)) {
                throw new FileNotFoundException("There is no file " + file.toAbsolutePath().normalize());
            }
            try {
                faces.add(Font.createFont(Font.TRUETYPE_FONT, file.toFile()));
            } catch (FontFormatException e) {
                throw new IOException(file + " is not a TrueType font: " + e.getMessage(), e);
            }
        }
        return faces;
    }

    /** A page from a random place in the text, with random face, size and colours; half of the pages are black on white. */
    Picture page(int height, int width, Random random) {
        Font font = faces.get(random.nextInt(faces.size())).deriveFont(SMALLEST + random.nextFloat() * (LARGEST - SMALLEST));
        Style style = random.nextBoolean() ? new Style(font, Color.BLACK, Color.WHITE) : coloured(font, random);
        return page(height, width, style, random);
    }

    /** A page from a random place in the text, black on white. */
    Picture page(int height, int width, Font face, float size, Random random) {
        return page(height, width, new Style(face.deriveFont(size), Color.BLACK, Color.WHITE), random);
    }

    private static Style coloured(Font font, Random random) {
        Color ink = colour(random);
        Color paper = colour(random);
        while (Math.abs(grey(ink) - grey(paper)) < CONTRAST) {
            paper = colour(random);
        }
        return new Style(font, ink, paper);
    }

    private static Color colour(Random random) {
        return new Color(random.nextInt(256), random.nextInt(256), random.nextInt(256));
    }

    private static int grey(Color colour) {
        return (colour.getRed() + colour.getGreen() + colour.getBlue()) / 3;
    }

    private Picture page(int height, int width, Style style, Random random) {
        BufferedImage page = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
        Graphics2D pen = page.createGraphics();
        pen.setColor(style.paper);
        pen.fillRect(0, 0, width, height);
        pen.setColor(style.ink);
        pen.setRenderingHint(RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
        pen.setRenderingHint(RenderingHints.KEY_FRACTIONALMETRICS, RenderingHints.VALUE_FRACTIONALMETRICS_ON);
        pen.setFont(style.font);
        FontMetrics metrics = pen.getFontMetrics();
        int next = text.indexOf(' ', random.nextInt(text.length() / 2)) + 1;
        for (int baseline = metrics.getAscent(); baseline < height + metrics.getAscent(); baseline += metrics.getHeight()) {
            int end = next;
            while (end < text.length() && metrics.stringWidth(text.substring(next, end)) < width) {
                end++;
            }
            pen.drawString(text.substring(next, end), 2, baseline);
            next = end;
        }
        pen.dispose();
        return Picture.of(page);
    }
}
