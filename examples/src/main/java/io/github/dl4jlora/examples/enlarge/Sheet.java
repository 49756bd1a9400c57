package io.github.dl4jlora.examples.enlarge;

import io.github.dl4jlora.internal.file.AtomicFile;

import javax.imageio.ImageIO;
import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/** Parts of pictures as each way enlarges them, side by side, with the way's name above. */
final class Sheet {

    private static final int HEIGHT = 48;
    private static final int WIDTH = 80;
    /** Pixels of the sheet, in height and width, for one pixel of a picture. */
    private static final int ZOOM = 2;
    private static final int GAP = 6;
    private static final int LINE = 20;
    private static final Color GROUND = new Color(225, 225, 225);
    private static final Font FONT = new Font(Font.SANS_SERIF, Font.PLAIN, 13);

    private Sheet() {
    }

    /**
     * @param pictures a row each
     * @param ways     a column each, by name; the last column is the picture itself
     */
    static void write(Path file, List<Picture> pictures, Map<String, UnaryOperator<Picture>> ways) throws IOException {
        List<String> names = new ArrayList<>(ways.keySet());
        names.add("as it was");
        BufferedImage sheet = new BufferedImage(names.size() * (ZOOM * WIDTH + GAP) - GAP,
                LINE + pictures.size() * (ZOOM * HEIGHT + GAP) - GAP, BufferedImage.TYPE_INT_RGB);
        Graphics2D pen = sheet.createGraphics();
        pen.setColor(GROUND);
        pen.fillRect(0, 0, sheet.getWidth(), sheet.getHeight());
        pen.setColor(Color.BLACK);
        pen.setFont(FONT);
        pen.setRenderingHint(RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
        for (int i = 0; i < names.size(); i++) {
            pen.drawString(names.get(i), i * (ZOOM * WIDTH + GAP), LINE - GAP);
        }
        for (int row = 0; row < pictures.size(); row++) {
            Picture picture = pictures.get(row);
            int column = 0;
            for (UnaryOperator<Picture> way : ways.values()) {
                draw(pen, way.apply(picture.half()), row, column++);
            }
            draw(pen, picture, row, column);
        }
        pen.dispose();
        AtomicFile.write(file, out -> ImageIO.write(sheet, "png", out));
    }

    private static void draw(Graphics2D pen, Picture picture, int row, int column) {
        pen.drawImage(picture.part((picture.height() - HEIGHT) / 2, (picture.width() - WIDTH) / 2, HEIGHT, WIDTH).image(),
                column * (ZOOM * WIDTH + GAP), LINE + row * (ZOOM * HEIGHT + GAP), ZOOM * WIDTH, ZOOM * HEIGHT, null);
    }
}
